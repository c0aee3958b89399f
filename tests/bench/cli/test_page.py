import dataclasses
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.data.datasets import DataSet
from tests.leaderboard.page.synthetic import Synthetic, write_run


@pytest.fixture
def run(tmp_path: Path, digits: DataSet) -> Path:
    return write_run(tmp_path / "runs" / "run", Synthetic(data=digits, rows=2, points=10))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_page_is_written_into_the_run_and_again(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["page", str(run)]) == 0
    assert f"page: {run / 'page.html'}" in capsys.readouterr().err
    first = (run / "page.html").read_text(encoding="utf-8")
    assert main(["page", str(run)]) == 0
    assert (run / "page.html").read_text(encoding="utf-8") == first
    assert not [name for name in names(run) if name.startswith(".")]


def test_page_of_several_runs_names_its_file(
    run: Path, tmp_path: Path, digits: DataSet, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_run(tmp_path / "other", Synthetic(data=digits, rows=1, points=10), first=2)
    assert main(["page", str(run), str(other)]) == 2
    assert "--out" in capsys.readouterr().err
    assert main(["page", str(run), str(other), "--out", str(tmp_path / "both.html")]) == 0
    assert "3 networks" in (tmp_path / "both.html").read_text(encoding="utf-8")


def test_page_fetches_no_data(tmp_path: Path, digits: DataSet) -> None:
    made = Synthetic(data=dataclasses.replace(digits, name="mnist"), rows=1, points=10)
    folder = write_run(tmp_path / "mnist", made)
    assert main(["page", str(folder), "--data", str(tmp_path)]) == 0
    said = (folder / "page.html").read_text(encoding="utf-8")
    assert "Pictures: data set mnist not found" in said
    assert "nothing is fetched for this" in said


def test_page_of_a_folder_of_runs_is_an_index(run: Path) -> None:
    folder = run.parent
    assert main(["page", str(folder)]) == 0
    assert 'href="run/page.html"' in (folder / "page.html").read_text(encoding="utf-8")
    assert (run / "page.html").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{tmp}"], "is no run folder"),
        (["{run}", "--out", ""], "--out expects a value"),
        (["{run}", "--out", "{tmp}/nowhere/page.html"], "there is no folder"),
        (["{run}", "--out", "{run}/run.json"], "is no page: name another file"),
        (["{run}", "--out", "{run}"], "is no page: name another file"),
        (["{run}", "--plugin", "gone.py"], "gone.py"),
    ],
)
def test_page_refuses_in_one_line_and_writes_nothing(
    run: Path,
    tmp_path: Path,
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    before = names(run)
    filled = [word.format(run=run, tmp=tmp_path / "empty") for word in words]
    assert main(["page", *filled]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert names(run) == before
