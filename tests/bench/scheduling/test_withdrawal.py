"""A contradicted evaluator: withdrawn everywhere, and what it had spared others is done."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.__main__ import main
from bench.jobs.verdict import merged
from bench.store.results import Store
from tests.bench.example_plugins import evaluator

Write = Callable[[str, str], Path]


@pytest.fixture
def liar(plugin_file: Write) -> Path:
    """Claims 0.3 of all that is classified correctly, in shards of 10; costs less than any."""
    body = "low = torch.where(known.high > 0, 0.3, 0.0).double()"
    return plugin_file("liar", evaluator(body).replace("= 50", "= 1"))


def row_of(out: Path) -> dict[str, Any]:
    (row,) = json.loads((out / "leaderboard.json").read_text())
    return dict(row)


def run(out: Path, evaluators: str, *more: str) -> int:
    return main(
        [
            "run",
            "--methods",
            "plain",
            "--epochs",
            "3",
            "--points",
            "40",
            "--eval",
            evaluators,
            "--engine",
            "inline",
            "--eps",
            "0.02",
            "--out",
            str(out),
            *more,
        ]
    )


NUMBERS = ("robust_error_low", "robust_error_high", "undecided", "radius_low")


def test_what_a_liar_had_spared_others_is_judged_again(
    tmp_path: Path, liar: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "honest", "pgd,kw,region,mip") == 0
    assert run(tmp_path / "lied", "liar,pgd,kw,region,mip", "--plugin", str(liar)) == 1
    assert "plugin is contradicted; judging again what it had decided" in capsys.readouterr().err
    honest = row_of(tmp_path / "honest")
    lied = row_of(tmp_path / "lied")
    assert lied["undecided"] == 0 == honest["undecided"]
    for name in NUMBERS:
        assert lied[name] == pytest.approx(honest[name], abs=1e-6), name
    assert {c.split(": ")[1].split(" proves")[0] for c in lied["contradictions"]} == {"liar"}
    assert lied["contributions"]["liar"]["certified"] == 0


def test_a_second_run_and_a_redrawn_leaderboard_say_the_same(tmp_path: Path, liar: Path) -> None:
    command = ("liar,pgd,kw,region,mip", "--plugin", str(liar))
    assert run(tmp_path, *command) == 1
    before = (tmp_path / "leaderboard.json").read_bytes()
    keys = set(Store(tmp_path).keys("evidence"))
    assert run(tmp_path, *command) == 1
    assert (tmp_path / "leaderboard.json").read_bytes() == before
    assert main(["leaderboard", str(tmp_path)]) == 1
    assert (tmp_path / "leaderboard.json").read_bytes() == before
    assert set(Store(tmp_path).keys("evidence")) == keys


def test_without_a_cascade_nothing_was_spared(tmp_path: Path, liar: Path) -> None:
    assert run(tmp_path, "liar,pgd,kw", "--plugin", str(liar), "--no-cascade") == 1
    evidence = json.loads((tmp_path / "run.json").read_text())["cells"][0]["evidence"]
    assert {name: len(keys) for name, keys in evidence.items()} == {"liar": 4, "pgd": 1, "kw": 1}


def test_rounds_of_one_evaluator_become_one_row_for_each_input() -> None:
    first = pd.DataFrame(
        {
            "index": [0, 1, 2],
            "low": [0.1, 0.0, 0.2],
            "high": [0.5, 0.4, 0.6],
            "seconds": [1.0, 0.0, 1.0],
            "status": ["done", "skipped", "done"],
            "outcome": ["done", "skipped: already decided", "done"],
        }
    )
    second = pd.DataFrame(
        {
            "index": [0, 1, 2],
            "low": [0.0, 0.3, 0.1],
            "high": [0.7, 0.35, 0.6],
            "seconds": [0.0, 2.0, 1.0],
            "status": ["skipped", "timeout", "done"],
            "outcome": ["skipped: already decided", "timeout", "done: exact"],
        }
    )
    both = merged([first, second])
    assert both["low"].tolist() == [0.1, 0.3, 0.2]
    assert both["high"].tolist() == [0.5, 0.35, 0.6]
    assert both["seconds"].tolist() == [1.0, 2.0, 2.0]
    assert both["status"].tolist() == ["done", "timeout", "done"]
    assert both["outcome"].tolist() == ["done", "timeout", "done: exact"]
    pd.testing.assert_frame_equal(merged([first]), first)
