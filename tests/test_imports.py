"""The line between the layers: leaderboard -> bench -> methods, evaluators -> relu."""

import ast
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
# The command line puts all of it together, so it alone stands above the leaderboard.
ABOVE_ALL = {Path("bench/__main__.py"), Path("bench/commands.py")}
FILES = [path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")]


def imports(path: Path) -> set[str]:
    """Top-level packages of ours that a file imports, with the full module names."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(node.module or "")
    return {name for name in names if name.split(".")[0] in MAY_IMPORT}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_import_only_what_lies_below(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    if path.relative_to(ROOT) not in ABOVE_ALL:
        assert {name.split(".")[0] for name in imports(path)} <= MAY_IMPORT[package]


@pytest.mark.parametrize("package", ["methods", "evaluators"])
def test_plugins_do_not_see_each_other(package: str) -> None:
    for path in (ROOT / package).glob("*.py"):
        own = {name for name in imports(path) if name.startswith(package)}
        # A variant may hold another method; what evaluators share are files that are no plugins.
        shared = {name for name in own if name.startswith((f"{package}.interface", f"{package}._"))}
        assert package == "methods" or own == shared, path


def test_only_the_store_the_data_and_the_checkpoint_reader_touch_files() -> None:
    allowed = {"store.py", "runfiles.py", "data.py", "checkpoint.py", "__main__.py"}
    for path in FILES:
        words = ("write_text", "write_bytes", "open(", ".mkdir(", "to_parquet", "save_file")
        if any(word in path.read_text() for word in words):
            assert path.name in allowed, path
