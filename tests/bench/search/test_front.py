"""`front`: what no other trial beats, and the search of it, to its end and again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from bench.cli.parser import parsed
from bench.data.datasets import DataSet
from bench.face.fronts import make_front_search
from bench.plan.request import Request
from bench.plugins.discovery import discover
from bench.search.front import Axis, undominated
from bench.search.proposals import Values, search_fronts
from bench.search.tune import Trial
from bench.store.run_files import FRONT, read_run
from leaderboard.row import Row
from tests.leaderboard.test_unions import ROW


def trial(clean: float | None, robust: float | None, **changes: Any) -> Trial[Row]:
    row = replace(ROW, test_error=clean, robust_error_high=robust, **changes)
    return Trial(values={}, rows=(row,))


def test_a_front_has_what_nothing_beats() -> None:
    trials = [trial(0.1, 0.5), trial(0.2, 0.4), trial(0.2, 0.6), trial(0.1, 0.5), trial(0.3, 0.4)]
    front = undominated(trials)
    assert [id(t) for t in front] == [id(trials[0]), id(trials[1])]
    assert (
        undominated([trial(0.1, None), trial(0.5, 0.5, failures={"network": "out of memory"})])
        == []
    )


COMMAND = [
    *("front", "--methods", "plain,mtl_ibp", "--arch", "fc_small", "--epochs", "2"),
    *("--points", "40", "--eval", "pgd,ibp", "--set", "pgd.steps=3", "--set", "pgd.restarts=1"),
    *("--set", "evaluators.ibp.bisection_steps=0", "--workers", "1"),
]


def test_a_search_ends_with_fronts_on_the_test_set_and_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], digits: DataSet
) -> None:
    run = [*COMMAND, "--out", str(tmp_path / "run")]
    assert main([*run, "--trials", "2"]) == 0
    first = capsys.readouterr()
    assert "1 of plain, 2 of MTL-IBP" in first.out
    assert "40 test inputs; 10 % of the training images held out" in first.out
    kept = json.loads((tmp_path / "run/front.trials.json").read_text())["trials"]
    assert kept["plain"] == [{}]
    assert kept["mtl_ibp"][0] == {"alpha": 0.1, "scale": 1.0}
    assert len({tuple(values.items()) for values in kept["mtl_ibp"]}) == 2
    assert (tmp_path / "run/front.csv").read_text().count("held out") == 3
    (cell, *_) = read_run(tmp_path / "run", FRONT).cells
    assert cell.data["test"] == digits.fingerprint("test")
    assert cell.data["train"] != digits.fingerprint("train")
    assert main([*run, "--trials", "2"]) == 0
    second = capsys.readouterr()
    assert second.out == first.out
    assert "train" not in second.err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--range", "mtl_ibp.alpha=1:0.1"], "--range expects NAME.FIELD=LOW:HIGH"),
        (["--range", "mtl_ibp.steps=1:2"], "mtl_ibp has no number 'steps'"),
        (["--range", "sabr.share=0.1:1"], "sabr"),
        (["--trials", "0"], "--trials expects a whole number from 1"),
        (["--held-out", "1"], "--held-out expects a share"),
        (["--norm", "linf,l2"], "front expects one --norm"),
        (["--judge", "linf=0.1,l2=0.3"], "leave out --judge"),
        (["--range", "mtl_ibp.alpha=0.5:3"], "mtl_ibp.alpha must be at least 0 and at most 1"),
    ],
)
def test_bad_options_get_one_line(
    more: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*COMMAND, "--out", str(tmp_path / "run"), *more]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_range_takes_the_place_of_the_methods_own() -> None:
    text = [*COMMAND, "--range", "mtl_ibp.alpha=0.3:0.6", "--set", "mtl_ibp.alpha=0.9"]
    search = make_front_search(parsed(text), discover())
    (plain, mtl) = search.methods
    assert plain.axes == ()
    assert mtl.axes == (Axis(field="alpha", low=0.3, high=0.6),)
    assert mtl.usual == {"alpha": 0.6}  # the nearest to what was asked for


def test_trials_are_proposed_in_rounds_and_none_twice() -> None:
    search = make_front_search(parsed([*COMMAND, "--trials", "9"]), discover())
    told: list[int] = []
    kept: list[int] = []

    def judged(requests: Mapping[str, Request]) -> dict[str, list[Trial[Row]]]:
        told.append(len(requests["mtl_ibp"].overrides))
        values = [o[("method", "mtl_ibp")] for o in requests["mtl_ibp"].overrides]
        points = [trial(v["alpha"], 1 - v["alpha"] * v["scale"]) for v in values]
        plain = {"plain": [trial(0.1, 0.2)]} if "plain" in requests else {}
        return {**plain, "mtl_ibp": points}

    def keep(values: Mapping[str, Sequence[Values]]) -> None:
        kept.append(len(values["mtl_ibp"]))

    trials = search_fronts(search, judged, {}, keep)
    assert told == [3, 2, 2, 2]
    assert kept == [3, 5, 7, 9]
    assert len(trials["plain"]) == 1
    assert len({t.mean("test_error") for t in trials["mtl_ibp"]}) == 9
    first = [{"alpha": 0.5, "scale": 1.5}, {"alpha": 0.25, "scale": 0.5}]
    asked: list[Values] = []
    search_fronts(
        search, judged, {"mtl_ibp": first}, lambda values: asked.extend(values["mtl_ibp"])
    )
    assert all(values in asked for values in first)
