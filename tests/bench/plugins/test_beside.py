import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.plugins.beside import Beside
from tests.bench.example_plugins import evaluator
from tests.outputs import stored_jobs

Tree = Callable[[str, dict[str, str]], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Writes files into a folder."""

    def write(folder: str, files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / folder

    return write


@pytest.mark.parametrize(
    "text",
    [
        "import helper\nX = helper.X",
        "import helper as h\nX = h.X",
        "from helper import X",
        "from . import helper\nX = helper.X",
        "from .helper import X",
        "import inner.leaf\nX = inner.leaf.X",
        "import inner.leaf as l\nX = l.X",
        "from inner.leaf import X",
        "from inner import leaf\nX = leaf.X",
        "from space import leaf\nX = leaf.X",
        "import outer\nX = outer.X",
        "def late():\n    import helper\n    return helper.X\nX = late()",
        "X = __import__('helper').X",
    ],
)
def test_beside_is_found_by_every_kind_of_import(tree: Tree, text: str) -> None:
    folder = tree(
        "a",
        {
            "plugin.py": text,
            "helper.py": "X = 1",
            "inner/__init__.py": "",
            "inner/leaf.py": "X = 1",
            "space/leaf.py": "X = 1",
            "outer.py": "from helper import X",
        },
    )
    before = set(sys.modules), list(sys.path)
    module = Beside(folder / "plugin.py").load()
    assert module.X == 1
    assert all(name.startswith("bench_plugin_") for name in set(sys.modules) - before[0])
    assert sys.path == before[1]


def test_beside_is_found_when_a_function_runs_long_after(tree: Tree) -> None:
    text = "def late():\n    from helper import X\n    return X"
    first = Beside(tree("a", {"plugin.py": text, "helper.py": "X = 1"}) / "plugin.py").load()
    second = Beside(tree("b", {"plugin.py": text, "helper.py": "X = 2"}) / "plugin.py").load()
    assert (first.late(), second.late()) == (1, 2)


def test_beside_in_packages_works_as_in_an_import_of_the_package(tree: Tree) -> None:
    folder = tree(
        "a",
        {
            "pkg/__init__.py": "from pkg.sub.plugin import Y",
            "pkg/common.py": "X = 1",
            "pkg/sub/__init__.py": "",
            "pkg/sub/plugin.py": "from ..common import X\nfrom .near import Z\nY = X + Z",
            "pkg/sub/near.py": "import pkg.common\nZ = pkg.common.X",
        },
    )
    module = Beside(folder / "pkg/sub/plugin.py").load()
    assert module.Y == 2
    assert "pkg" not in sys.modules


def test_a_package_that_a_plugin_does_not_need_is_not_run(tree: Tree) -> None:
    folder = tree("a", {"__init__.py": "1 / 0", "plugin.py": "X = 1"})
    assert Beside(folder / "plugin.py").load().X == 1


def test_names_of_python_and_of_the_bench_mean_these(tree: Tree) -> None:
    text = "import random, relu.threat, torch\nX = random.random, relu.threat.Threat, torch.zeros"
    files = {"random.py": "", "relu/__init__.py": "", "torch/notes.py": ""}
    Beside(tree("a", {"plugin.py": text, **files}) / "plugin.py").load()


def test_what_ran_first_is_what_runs_and_what_is_read(tree: Tree) -> None:
    text = "import early\ndef late():\n    import later\n    return early.X, later.X"
    files = {"early.py": "X = 1", "later.py": "X = 1"}
    folder = tree("a", {"plugin.py": text, **files})
    first = Beside(folder / "plugin.py")
    module = first.load()
    first.read(folder.resolve() / "later.py")
    tree("a", {"early.py": "X = 2", "later.py": "X = 2"})  # as long as before, in the same second
    second = Beside(folder / "plugin.py")
    assert second.load().late() == (2, 2)
    assert module.late() == (1, 1)
    assert first.read(folder.resolve() / "early.py") == b"X = 1"


def test_a_name_that_is_nowhere_is_named(tree: Tree) -> None:
    folder = tree("a", {"plugin.py": "import no_such_helper"})
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_helper'"):
        Beside(folder / "plugin.py").load()


@pytest.mark.parametrize("engine", ["inline", "local"])
def test_an_edited_helper_gives_new_results_and_never_the_old_ones(
    tmp_path: Path, tree: Tree, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    body = (
        "from helper import outcome; return Evidence(low=low, witness=witness, outcome=outcome(x))"
    )
    outcome = "def outcome(x): return ['done: {}'] * len(x)"
    helper = {"helper.py": outcome.format("old")}
    folder = tree("mine", {"helped.py": evaluator(body), **helper})
    out = tmp_path / "out"
    command = ["run", "--methods", "plain", "--eval", "helped", "--points", "10", "--epochs", "1"]
    command += ["--plugin", str(folder / "helped.py"), "--engine", engine, "--workers", "1"]

    def outcomes() -> dict[str, int]:
        assert main([*command, "--gpus", "none", "--out", str(out)]) == 0
        (row,) = json.loads((out / "leaderboard.json").read_text())
        return dict(row["outcomes"]["helped"])

    assert outcomes() == {"done: old": 10}
    tree("mine", {"helper.py": outcome.format("new")})
    capsys.readouterr()
    assert outcomes() == {"done: new": 10}
    assert stored_jobs(capsys.readouterr().err) == 2  # the network, and its clean predictions
