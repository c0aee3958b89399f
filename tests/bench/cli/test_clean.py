import json
import shutil
from pathlib import Path

import pytest

from bench import Board
from bench.__main__ import main
from bench.store.run_files import RUN

Run = tuple[Path, Board]


@pytest.fixture
def folder(small_run: Run, tmp_path: Path) -> Path:
    """A copy of a run whose record no longer names its last cell."""
    copy = tmp_path / "run"
    shutil.copytree(small_run[0], copy)
    record = json.loads((copy / RUN).read_text())
    record["cells"].pop()
    (copy / RUN).write_text(json.dumps(record))
    return copy


def test_what_is_unnamed_is_listed_and_stays(
    folder: Path, small_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["clean", str(folder)]) == 0
    out, err = capsys.readouterr()
    gone = small_run[1].rows["network"].iloc[-1]
    assert f"networks/{gone}" in out.splitlines()
    assert all((folder / line).is_dir() for line in out.splitlines())
    assert "--remove" in err


def test_what_is_unnamed_is_removed_and_nothing_else(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = main(["leaderboard", str(folder)]), capsys.readouterr().out
    assert main(["clean", str(folder), "--remove"]) == 0
    removed = capsys.readouterr().out.splitlines()
    assert removed
    assert not any((folder / line).exists() for line in removed)
    assert (main(["leaderboard", str(folder)]), capsys.readouterr().out) == before
    assert main(["clean", str(folder)]) == 0
    assert capsys.readouterr().out == ""


def test_nothing_is_removed_while_somebody_is_at_work(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "drafts" / "KEY.lock").touch()
    assert main(["clean", str(folder), "--remove"]) == 2
    assert "at 1 jobs" in capsys.readouterr().err


def test_a_folder_without_a_run_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["clean", str(tmp_path), "--remove"]) == 2
    assert "is no run folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
