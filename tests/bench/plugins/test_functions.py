"""Plugins that are functions: architectures and data sets."""

import json
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from bench.__main__ import main
from bench.data.datasets import load
from bench.plugins import discovery
from bench.plugins.discovery import discover
from relu.errors import InputError

Write = Callable[[str, str], Path]

NETWORK = '''
import math
from torch import nn

def build(shape, classes):
    """Sixteen units."""
    size = math.prod(shape)
    return nn.Sequential(nn.Flatten(), nn.Linear(size, 16), nn.ReLU(), nn.Linear(16, classes))
'''
DATA = '''"""Two halves of an image, the brighter of which wins."""
import numpy as np

shape = (1, 4, 4)
classes = 2
eps = {"linf": 0.05}
arch = "fc_small"

def read(folder):
    x = np.random.default_rng(0).random((300, 1, 4, 4)).astype("float32")
    y = (x[:, 0, :, :2].sum((1, 2)) < x[:, 0, :, 2:].sum((1, 2))).astype("int64")
    return {"x_train": x[:200], "y_train": y[:200], "x_test": x[200:], "y_test": y[200:]}
'''


def test_build_is_an_architecture_under_the_name_of_its_file(plugin_file: Write) -> None:
    catalogue = discover([plugin_file("my_net", NETWORK)])
    assert catalogue.find_architecture("My-Net") == "my_net"
    arch = catalogue.architectures["my_net"]
    assert arch.summary == "Sixteen units."
    net = arch.build((1, 8, 8), 10, seed=3)
    assert net(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_its_weights_are_its_own_and_the_seeds(plugin_file: Write) -> None:
    arch = discover([plugin_file("my_net", NETWORK)]).architectures["my_net"]
    draws = [arch.build((1, 8, 8), 10, seed=seed).state_dict()["1.weight"] for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert draws[0].abs().max() <= 1 / 8  # torch's own range, not He's


def test_an_edited_architecture_has_another_digest(plugin_file: Write) -> None:
    before = discover([plugin_file("my_net", NETWORK)]).architectures["my_net"].code
    after = discover([plugin_file("my_net", NETWORK + "#")]).architectures["my_net"].code
    assert before != after != ""


def test_read_is_a_data_set(plugin_file: Write) -> None:
    catalogue = discover([plugin_file("halves", DATA)])
    source = catalogue.sources[catalogue.find_source("halves")]
    assert source.summary == "Two halves of an image, the brighter of which wins."
    assert (source.shape, source.classes, source.arch) == ((1, 4, 4), 2, "fc_small")
    data = load("halves", None, catalogue.sources)
    assert data.x_test.shape == (100, 1, 4, 4)
    assert data.fingerprint("test") != data.fingerprint("train")


def test_a_network_of_ones_own_is_trained_and_judged_on_images_of_ones_own(
    plugin_file: Write, tmp_path: Path
) -> None:
    plugins = [plugin_file("my_net", NETWORK), plugin_file("halves", DATA)]
    chosen = [part for file in plugins for part in ("--plugin", str(file))]
    command = ["run", "--methods", "plain", "--dataset", "halves", "--arch", "my_net", *chosen]
    more = ["--eval", "pgd,region", "--epochs", "60", "--set", "train.lr=0.02"]
    assert main([*command, *more, "--engine", "inline", "--out", str(tmp_path / "out")]) == 0
    (row,) = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert (row["dataset"], row["arch"], row["eps"]) == ("halves", "my_net", 0.05)
    assert row["test_error"] < 0.2
    assert row["test_error"] < row["robust_error_high"] < 1


def test_installed_packages_announce_modules(
    plugin_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plugin_file("announced_net", NETWORK)
    monkeypatch.syspath_prepend(str(path.parent))
    point = EntryPoint("theirs", "announced_net", "bench.architectures")
    groups = {"bench.architectures": [point]}
    monkeypatch.setattr(discovery, "entry_points", lambda group: groups.get(group, []))
    assert discover().architectures["theirs"].build((1, 8, 8), 10)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("fc1", NETWORK, "two architectures are called 'fc1'"),
        ("mnist", DATA, "two data sets are called 'mnist'"),
        ("net", NETWORK.replace("shape, classes", "shape"), r"expected build\(shape, classes\)"),
        ("data", DATA.replace("read(folder)", "read()"), r"expected read\(folder\)"),
        ("data", DATA.replace("shape = (1, 4, 4)", ""), "expected shape"),
        ("data", DATA.replace("classes = 2", "classes = 1"), "expected classes"),
        ("data", DATA.replace("linf", "l3"), "expected eps"),
        ("data", DATA.replace("0.05", "-1"), "expected eps"),
    ],
)
def test_unusable_functions_are_told_why(
    plugin_file: Write, name: str, text: str, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        discover([plugin_file(name, text)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (DATA.replace("return {", "return {}; {"), "x_train is missing"),
        (DATA.replace("import numpy as np", ""), r"read\(\) raises NameError"),
        (DATA.replace("(300, 1, 4, 4)", "(300, 1, 4, 5)"), "expected images of shape"),
        (DATA.replace("y = (", "y = 7 + ("), "labels must be integers from 0 to 1"),
    ],
)
def test_what_they_give_is_checked(plugin_file: Write, text: str, complaint: str) -> None:
    sources = discover([plugin_file("data", text)]).sources
    with pytest.raises(InputError, match=complaint) as caught:
        load("data", None, sources)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (NETWORK.replace("return", "return 3 #"), "expects to return a torch.nn.Module, got int"),
        (NETWORK.replace("size = ", "size = 1 / 0 + "), "raises ZeroDivisionError"),
    ],
)
def test_architectures_that_fail_are_told_why(
    plugin_file: Write, text: str, complaint: str
) -> None:
    arch = discover([plugin_file("my_net", text)]).architectures["my_net"]
    with pytest.raises(InputError, match=complaint) as caught:
        arch.skeleton((1, 8, 8), 10)
    assert "\n" not in str(caught.value)
