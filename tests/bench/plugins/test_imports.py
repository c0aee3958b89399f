from pathlib import Path

import pytest

from bench.plugins.imports import absolute, imported, is_installed, locate, release


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import a.b, c as d", [(0, "a.b"), (0, "c")]),
        ("from a import b, c", [(0, "a"), (0, "a.b"), (0, "a.c")]),
        ("from a import *", [(0, "a")]),
        ("from . import a", [(1, ""), (1, "a")]),
        ("from ..a import b", [(2, "a"), (2, "a.b")]),
        ("def f():\n  import a", [(0, "a")]),
        ("import_module('a.b')", [(0, "a.b")]),
        ("importlib.import_module('..a', __package__)", [(2, "a")]),
        ("__import__('a')", [(0, "a")]),
        ("import_module(name)", []),
        ("def broken(:", []),
        ("x = '\0'", []),
    ],
)
def test_imported_names_are_found_wherever_they_stand(
    text: str, names: list[tuple[int, str]]
) -> None:
    assert list(imported(text.encode())) == names


@pytest.mark.parametrize(
    ("package", "level", "name", "full"),
    [
        ("", 0, "a.b", "a.b"),
        ("p.q", 1, "a", "p.q.a"),
        ("p.q", 1, "", "p.q"),
        ("p.q", 2, "a", "p.a"),
        ("p.q", 3, "a", ""),
        ("", 1, "a", ""),
    ],
)
def test_absolute_names_follow_the_dots(package: str, level: int, name: str, full: str) -> None:
    assert absolute(package, level, name) == full


def test_locate_finds_modules_without_running_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "located_package").mkdir()
    (tmp_path / "located_package" / "__init__.py").write_text("1 / 0")
    (tmp_path / "located_package" / "leaf.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert locate("located_package") == tmp_path / "located_package" / "__init__.py"
    assert locate("located_package.leaf") == tmp_path / "located_package" / "leaf.py"
    assert locate("located_package.gone") is None
    assert locate("no_such_package") is None
    assert not is_installed("located_package")
    (tmp_path / "located-1.0.dist-info").mkdir()  # as `pip install --target` leaves it


def test_release_is_that_of_the_distribution_without_its_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release.cache_clear()
    versions = {"torch": "2.13.0+cpu", "numpy": "2.0.0"}
    monkeypatch.setattr("bench.plugins.imports.version", versions.__getitem__)
    assert release("torch") == "2.13.0"
    assert release("numpy") == "2.0.0"
    assert release("no_such_library") == "absent"
    release.cache_clear()
    monkeypatch.undo()
    assert release("sklearn").startswith("scikit-learn ")
    assert is_installed("torch")
