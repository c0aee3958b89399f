"""The line between the layers: leaderboard -> bench -> methods, evaluators -> relu."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "relu": {"relu"},
    "methods": {"methods", "relu"},
    "evaluators": {"evaluators", "relu"},
    "bench": {"bench", "methods", "evaluators", "relu"},
    "leaderboard": {"leaderboard", "bench", "methods", "evaluators", "relu"},
}
# What users ask for puts all of it together, so it alone stands above the leaderboard.
ABOVE_ALL = ("bench.face", "bench.cli", "bench.__main__")
FACE = ROOT / "bench" / "__init__.py"  # offers what stands above, and imports it when asked
GROUND = "errors ranges rounding norms threat classes batching"
ROOMS_BELOW = {
    "relu": {
        "errors": "",
        "ranges": "errors",
        "rounding": "",
        "norms": "rounding",
        "threat": "errors rounding norms",
        "classes": "",
        "batching": "",
        "network": GROUND,
        "regions": f"network {GROUND}",
        "bounds": f"regions network {GROUND}",
        "milp": f"bounds regions network {GROUND}",
        "attacks": f"bounds regions network {GROUND}",
    },
    "bench": {
        "parsing": "",
        "data": "parsing",
        "store": "",
        "plugins": "parsing data",
        "jobs": "store data plugins",
        "plan": "jobs data plugins",
        "scheduling": "jobs store",
        "search": "plan plugins data parsing",
        "pipeline": "scheduling plan jobs store data plugins",
        "face": "pipeline search plan scheduling store data plugins parsing",
        "cli": "face pipeline scheduling store data plugins parsing",
        "__main__": "cli",
    },
}
"""What each room of a package, a folder or a module right inside it, may import."""
MOST_ROOMS = 12
MOST_ARROWS = {"relu": 30, "bench": 35}
FILES = [path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")]


def file_of(package: str | None, name: str) -> Path:
    """The file that `from package import name` reads, if name is a module."""
    return (ROOT / (package or "").replace(".", "/") / name).with_suffix(".py")


def imports(path: Path, *, ours: bool = True) -> set[str]:
    """Full names of the modules that a file imports; ours: of the five packages alone."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(node.module or "")
            names |= {
                f"{node.module}.{alias.name}"
                for alias in node.names
                if file_of(node.module, alias.name).exists()
            }
    return {name for name in names if not ours or name.split(".")[0] in MAY_IMPORT}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_import_only_what_lies_below(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    if path != FACE and not module(path).startswith(ABOVE_ALL):
        assert {name.split(".")[0] for name in imports(path)} <= MAY_IMPORT[package]


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def arrows(package: str) -> set[tuple[str, str]]:
    """Pairs of rooms (folders, modules right inside a package) of which one imports the other."""
    pairs = set()
    paths = set((ROOT / package).rglob("*.py")) - {ROOT / package / "__init__.py"}
    for path in paths:
        for name in imports(path) - {package}:
            if name.startswith(f"{package}."):
                pairs.add((module(path).split(".")[1], name.split(".")[1]))
    return {(room, below) for room, below in pairs if room != below}


@pytest.mark.parametrize("package", ROOMS_BELOW)
def test_rooms_import_only_what_lies_below(package: str) -> None:
    rooms = ROOMS_BELOW[package]
    found = {path.stem for path in (ROOT / package).iterdir() if path.suffix == ".py"}
    found |= {path.name for path in (ROOT / package).iterdir() if (path / "__init__.py").is_file()}
    assert found - {"__init__"} == set(rooms)
    assert len(rooms) <= MOST_ROOMS
    assert len(arrows(package)) <= MOST_ARROWS[package]
    for room, below in arrows(package):
        assert below in rooms[room].split(), f"{room} imports {below}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module(path): imports(path) for path in FILES}
    for name, below in graph.items():
        around = {other for other in graph if f"{name}.".startswith(f"{other}.")}
        graph[name] = (below & graph.keys()) - around
    assert list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("package", ["methods", "evaluators"])
def test_plugins_do_not_see_each_other(package: str) -> None:
    for path in (ROOT / package).glob("*.py"):
        own = {name for name in imports(path) if name.startswith(package)}
        # A variant may hold another method; what evaluators share are files that are no plugins.
        shared = {name for name in own if name.startswith((f"{package}.interface", f"{package}._"))}
        assert package == "methods" or own == shared, path


def test_only_the_command_line_knows_argparse() -> None:
    for path in FILES:
        if "argparse" in imports(path, ours=False):
            assert module(path).startswith("bench.cli"), path


def test_only_the_store_the_data_and_the_checkpoint_reader_touch_files() -> None:
    allowed = {
        "results.py",
        "run_files.py",
        "datasets.py",
        "npz.py",
        "checkpoint.py",
        "__main__.py",
    }
    for path in FILES:
        words = ("write_text", "write_bytes", "open(", ".mkdir(", "to_parquet", "save_file")
        if any(word in path.read_text() for word in words):
            assert path.name in allowed, path
