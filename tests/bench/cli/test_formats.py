import io
import json
from pathlib import Path

import pandas as pd
import pytest

from bench import Board
from bench.__main__ import main

Run = tuple[Path, Board]


def drawn(run: Run, name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> str:
    words = ["leaderboard", str(run[0]), "--format", name, "--out", str(tmp_path / "drawn")]
    assert main(words) == 0
    return capsys.readouterr().out


def test_a_csv_has_the_cells_that_are_printed(
    small_run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table = pd.read_csv(io.StringIO(drawn(small_run, "csv", capsys, tmp_path)), dtype=str)
    printed = drawn(small_run, "markdown", capsys, tmp_path).splitlines()
    head = [cell.strip() for cell in printed[0].strip("|").split("|")]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in printed[2:4]]
    assert list(table) == head
    assert table.to_numpy().tolist() == lines


def test_json_has_the_rows_in_full(
    small_run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = json.loads(drawn(small_run, "json", capsys, tmp_path))
    assert [row["network"] for row in rows] == small_run[1].rows["network"].tolist()
    assert rows[0]["robust_error_low"] == small_run[1].rows["robust_error_low"][0]


def test_latex_is_a_table(
    small_run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = drawn(small_run, "latex", capsys, tmp_path)
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    columns = text.partition("{tabular}{")[2].partition("}")[0]
    assert len(lines) == 3
    assert {line.count(" & ") + 1 for line in lines} == {len(columns)}
    assert r"\%" in lines[0]
    assert "≥" not in text


def test_a_wrong_format_gets_one_line(small_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", str(small_run[0]), "--format", "latx"]) == 2
    assert "did you mean 'latex'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mmr", ["method mmr (MMR)", "CAH19, eq. 7", "gamma_b", "> 0", "front tries: weight"]),
        ("branch-and-bound", ["evaluator bab (BaB)", "CPU seconds", "decide|radius"]),
        ("kw", ["method kw (KW)", "evaluator kw (KW)"]),
        ("train", ["milestones", "weight_decay", "shift"]),
    ],
)
def test_one_name_is_explained(
    name: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", name]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in words)
    assert max(map(len, out.splitlines())) <= 100


def test_an_unknown_name_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "mrr"]) == 2
    assert "did you mean 'mmr'" in capsys.readouterr().err
