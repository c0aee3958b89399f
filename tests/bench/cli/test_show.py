import json
from pathlib import Path

import pytest

from bench import Board
from bench.__main__ import main

Run = tuple[Path, Board]


def show(run: Run, *words: str) -> int:
    return main(["show", str(run[0]), *words])


def test_an_input_is_shown_with_who_proved_what(
    small_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, board = small_run
    fooled = board.inputs[(board.inputs["verdict"] == "fooled") & board.inputs["correct"]].iloc[0]
    words = ["--method", fooled["method"], "--seed", str(fooled["seed"])]
    words += ["--input", str(fooled["index"]), "--out", str(tmp_path / "pictures")]
    assert show(small_run, *words) == 0
    out, err = capsys.readouterr()
    assert f"fooled, by {fooled['decided_by']}" in out
    assert f"radius <= {fooled['high']:.6g} ({fooled['high_by']}" in out
    assert f"evidence/{fooled['high_key']}" in out
    assert "python -m bench run --methods" in out
    (picture,) = (tmp_path / "pictures").iterdir()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in err


def test_json_says_the_same(small_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder, board = small_run
    assert show(small_run, "--method", "mmr", "--seed", "1", "--input", "4", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    own = board.inputs[(board.inputs["method"] == "mmr") & (board.inputs["seed"] == 1)].iloc[4]
    assert said["input"]["low"] == own["low"]
    assert [e["evaluator"] for e in said["evidence"]] == ["pgd", "kw", "bab"]
    assert said["settings"]["weight"] == 0.5
    assert said["provenance"]["versions"]["torch"]
    assert len(list((folder / "inputs").iterdir())) == 1


def test_a_misclassified_input_needs_no_evidence(
    small_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, board = small_run
    wrong = board.inputs[~board.inputs["correct"]].iloc[0]
    words = ["--method", wrong["method"], "--seed", str(wrong["seed"]), "--out", str(tmp_path)]
    assert show(small_run, *words, "--input", str(wrong["index"])) == 0
    assert "misclassified as it is" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--input", "3"], "say which, by method=plain or mmr"),
        (["--method", "mmr", "--input", "3"], "by seed=0 or 1"),
        (["--method", "mnr", "--input", "3"], "did you mean 'mmr'"),
        (["--method", "mmr", "--seed", "x", "--input", "3"], "--seed expects a whole number"),
        (["--method", "mmr", "--seed", "0", "--input", "300"], "inputs 0 to 24, got 300"),
        (["--method", "mmr", "--norm", "l9", "--input", "3"], "l9"),
        (["--method", "mmr"], "--input"),
    ],
)
def test_bad_words_get_one_line(
    small_run: Run, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(small_run, *words) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert not out
    assert err.count("\n") == 1
