"""Small real data and networks that several tests share."""

import importlib.util
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.data.datasets import DataSet, load
from bench.jobs.training import train
from bench.plugins.catalogue import Catalogue
from bench.plugins.discovery import discover
from bench.plugins.training import Training
from methods.plain import Plain
from relu.network.architectures import build
from relu.threat import Threat
from tests import begin_test

LINF = Threat(norm="linf", eps=0.1)

if "PYTEST_XDIST_WORKER" in os.environ:  # processes side by side, which would wait for each other
    torch.set_num_threads(1)

UNMARKED = "-m gpu: files without that marker are not imported, as plugins they use may be missing"
# Mathematics, tables, pages: no whole runs, no data but the embedded.
QUICK = ("relu", "leaderboard", "test_docs.py", "test_imports.py", "test_mutants.py")
LONGER = ("slow", "gpu", "real", "hostile", "processes", "browser")
# What a user's environment may say and no test expects: data, a device, a terminal of some kind.
STRANGE = ("BENCH_DATA", "BENCH_DEVICE", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """What pyproject.toml asks of plugins, where they are not there: to no effect."""
    if not pluginmanager.hasplugin("timeout"):
        parser.addini("timeout", "seconds for each test, which pytest-timeout would keep")
    if not importlib.util.find_spec("jaxtyping"):
        parser.addoption("--jaxtyping-packages", help="checks no types")


def pytest_report_header(config: pytest.Config) -> list[str]:
    return [UNMARKED] if _gpu_alone(config) else []


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files without the marker, of `-m gpu`; of others nothing is said."""
    if not _gpu_alone(config) or collection_path.suffix != ".py":
        return None
    return True if "mark.gpu" not in collection_path.read_text(encoding="utf-8") else None


def pytest_runtest_setup() -> None:
    """Types of functions that were hot in the test before are checked again."""
    begin_test()


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Weights that a file draws as it is imported are the same in every process and every order."""
    if isinstance(collector, pytest.Module):
        torch.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is quick, and refuses names that show a set.

    A set's order differs between processes, which then disagree; even one of whole numbers, as a
    set read from a .pyc file is built in another order.
    """
    for item in items:
        place = item.path.relative_to(Path(__file__).parent).parts[0]
        if place in QUICK and not any(item.get_closest_marker(name) for name in LONGER):
            item.add_marker("quick")
        callspec = getattr(item, "callspec", None)
        values = callspec.params.values() if callspec else ()
        if any(isinstance(v, set | frozenset) and str(v) in item.nodeid for v in values):
            raise pytest.UsageError(f"{item.nodeid}: a set in a test's name; use a list or a tuple")


def _gpu_alone(config: pytest.Config) -> bool:
    return config.getoption("markexpr", "") == "gpu"


@pytest.fixture(autouse=True)
def own_interrupts() -> Iterator[None]:
    """Ctrl-C does in tests and their children what it does in a terminal.

    Where the tests are a background job, the shell has told them to ignore it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the user's data folder or cache, or another's random numbers or threads."""
    threads = torch.get_num_threads()
    saved = {k: os.environ.get(k) for k in (*STRANGE, "XDG_CACHE_HOME")}
    for key in STRANGE:
        os.environ.pop(key, None)
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
    for key, value in saved.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value


@pytest.fixture(scope="session")
def digits() -> DataSet:
    return load("digits")


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return discover()


@pytest.fixture(scope="session")
def digits_net(digits: DataSet) -> nn.Sequential:
    """A plainly trained network on digits, about 4 % test error."""
    net = build("fc_small", digits.shape, digits.classes)
    train(
        net,
        Plain(),
        digits,
        threat=LINF,
        training=Training(epochs=15),
        seed=0,
        augmented=False,
    )
    return net.requires_grad_(False).eval()


@pytest.fixture
def linear_net() -> Callable[[Tensor, Tensor], nn.Sequential]:
    """Builds f(x) = W x + b as a network."""

    def make(weight: Tensor, bias: Tensor) -> nn.Sequential:
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
        return nn.Sequential(nn.Flatten(), layer).requires_grad_(False)

    return make


@pytest.fixture
def plugin_file(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a plugin file of that name."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        return path

    return write
