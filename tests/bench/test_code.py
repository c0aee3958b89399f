from pathlib import Path

import pytest

from bench import code


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin that imports a formula that imports another, and one formula it does not need."""
    (tmp_path / "relu").mkdir()
    (tmp_path / "relu" / "first.py").write_text("from relu import second\n")
    (tmp_path / "relu" / "second.py").write_text("import relu.first\nX = 1\n")
    (tmp_path / "relu" / "other.py").write_text("X = 1\n")
    (tmp_path / "plugin.py").write_text("import math\nfrom relu.first import second\n")
    monkeypatch.setattr(code, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "matters"),
    [
        ("plugin.py", True),
        ("relu/first.py", True),
        ("relu/second.py", True),
        ("relu/other.py", False),
    ],
)
def test_the_digest_follows_the_formulas_that_are_used(
    tree: Path, file: str, matters: bool
) -> None:
    before = code.digest(tree / "plugin.py")
    (tree / file).write_text((tree / file).read_text() + "# edited\n")
    # This process has imported the old text, but a plugin given by its path is executed anew.
    assert code.digest(tree / "plugin.py") == before
    executed_anew = code.digest(tree / "plugin.py", anew=True) != before
    assert executed_anew is (file == "plugin.py")
    code._contents.cache_clear()  # as in a new process
    assert (code.digest(tree / "plugin.py") != before) is matters


def test_a_plugin_may_move(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    moved = tmp_path_factory.mktemp("moved") / "plugin.py"
    moved.write_text((tree / "plugin.py").read_text())
    assert code.digest(moved) == code.digest(tree / "plugin.py")
