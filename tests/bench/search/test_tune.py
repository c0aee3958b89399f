"""Settings are chosen by what held-out training images say, and by nothing else."""

import dataclasses
import functools
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.__main__ import main
from bench.data.datasets import DataSet
from bench.data.sources import SOURCES
from bench.search.tune import Trial, decided_by, ranked
from bench.store.results import Store
from leaderboard.row import Row
from tests.bench.example_plugins import evaluator
from tests.leaderboard.test_tables import row as any_row
from tests.outputs import stored_jobs

Write = Callable[[str, str], Path]
QUICK = (
    "--engine",
    "inline",
    "--epochs",
    "1",
    "--points",
    "30",
    "--set",
    "pgd.steps=3",
    "--set",
    "pgd.restarts=1",
    "--eval",
    "pgd,region",
)
AT = ("tune", "--method", "at", "--grid", "steps=1,2", "--grid", "train.lr=1e-3,1e-2", *QUICK)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def run(out: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command with --out; its status and what it printed on stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        status = main([*arguments, "--out", str(out)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def kept(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "tune.json").read_text()))


def trial(name: str, *numbers: tuple[float | None, float, float], **changes: Any) -> Trial[Row]:
    """A trial with (robust error <=, robust error >=, held-out error) for each seed."""
    rows = [
        any_row(robust_error_high=high, robust_error_low=low, test_error=error, **changes)
        for high, low, error in numbers
    ]
    return Trial(values={"name": name}, rows=tuple(rows))


def names(*trials: Trial[Row]) -> str:
    return "".join(trial.values["name"] for trial in ranked(trials))


def test_the_smallest_upper_bound_wins_whatever_the_rest_says() -> None:
    a = trial("a", (0.5, 0.1, 0.0))
    b = trial("b", (0.3, 0.3, 0.2))
    c = trial("c", (0.4, 0.0, 0.0))
    assert names(a, b, c) == "bca"
    assert decided_by(ranked([a, b, c])) == "robust_error_high"


def test_ties_fall_to_the_lower_bound_then_to_the_error_then_to_the_grid() -> None:
    a = trial("a", (0.5, 0.2, 0.0))
    b = trial("b", (0.5, 0.1, 0.3))
    c = trial("c", (0.5, 0.1, 0.1))
    d = trial("d", (0.5, 0.1, 0.1))
    e = trial("e", (0.5, 0.1, 0.1))
    assert names(a, b) == "ba"
    assert decided_by(ranked([a, b])) == "robust_error_low"
    assert names(b, c) == "cb"
    assert decided_by(ranked([b, c])) == "test_error"
    assert names(a, b, e, d, c) == "edcba"
    assert decided_by(ranked([e, d, c])) == "grid order"
    assert "only one" in decided_by([a])


def test_the_mean_over_seeds_decides_and_rounding_breaks_no_tie() -> None:
    a = trial("a", (0.2, 0, 0), (0.6, 0, 0))
    b = trial("b", (0.3, 0, 0), (0.4, 0, 0))
    assert names(a, b) == "ba"
    c = trial("c", (0.1, 0, 0), (0.2, 0, 0))
    d = trial("d", (0.3, 0, 0), (0.0, 0, 0))
    assert 0.1 + 0.2 != 0.3
    assert names(c, d) == "cd"


def test_trials_that_failed_contradict_themselves_or_have_no_bound_are_last() -> None:
    a = trial("a", (0.0, 0, 0), failures={"pgd": "timeout"})
    b = trial("b", (0.0, 0, 0), contradictions=["input 3"])
    c = trial("c", (0.1, 0, 0), (None, 0, 0))
    d = trial("d", (0.9, 0, 0))
    assert names(a, b, c, d) == "dabc"
    assert [t.whole for t in ranked([a, b, c, d])] == [True, False, False, False]


def test_a_search_prints_and_keeps_its_trials_and_its_choice(run: Any, out: Path) -> None:
    status, printed, err = run(*AT)
    assert status == 0
    assert "predict the held-out part of digits" in err
    assert printed == (out / "tune.md").read_text(encoding="utf-8")
    assert "held-out error (%)" in printed
    assert "test error" not in printed
    record = kept(out)
    trials = record["trials"]
    assert len(trials) == 4
    highs = [t["robust_error_high"] for t in trials]
    assert highs == sorted(highs)
    assert record["choice"]["values"] == trials[0]["values"]
    assert record["choice"]["command"] in printed
    assert record["how"]["held_out"] == 0.1
    values = {(t["values"]["steps"], t["values"]["train.lr"]) for t in trials}
    assert values == {(s, r) for s in (1, 2) for r in (1e-3, 1e-2)}
    table = pd.read_csv(out / "tune.csv")
    assert table["trial"].tolist() == [1, 2, 3, 4]
    assert table["robust_error_high"].tolist() == highs
    assert {"held_out_error", "steps", "share", "train.lr", "pgd.steps"} <= set(table)
    assert not list(out.glob("leaderboard.*"))


def test_the_choice_is_a_command_that_runs_on_the_whole_training_set(
    run: Any, out: Path, digits: DataSet
) -> None:
    run(*AT)
    record = kept(out)
    line = shlex.split(record["choice"]["command"])
    assert line[:4] == ["python", "-m", "bench", "run"]
    assert main([*line[3:], "--engine", "inline"]) == 0
    (row,) = json.loads((out / "leaderboard.json").read_text())
    for name, value in record["choice"]["values"].items():
        assert row["settings"][name] == value
    assert row["settings"]["pgd.steps"] == 3
    assert kept(out) == record  # an ordinary run beside it disturbs nothing
    about = Store(out).settings("networks", _networks(out, "run.json")[0])
    assert about["settings"]["data"] == digits.fingerprint("train")


def _networks(out: Path, name: str) -> list[str]:
    return [cell["network"] for cell in json.loads((out / name).read_text())["cells"]]


def test_an_ordinary_run_in_the_same_folder_is_left_alone(run: Any, out: Path) -> None:
    run("run", "--methods", "plain", *QUICK)
    before = {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()}
    assert run(*AT)[0] == 0
    assert {name: (out / name).read_bytes() for name in before} == before
    assert main(["status", str(out)]) == 0
    assert main(["leaderboard", str(out)]) == 0
    assert {name: (out / name).read_bytes() for name in before} == before


def test_a_torn_record_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tune.json").write_text("{")
    assert main(["status", str(tmp_path)]) == 2
    assert "tune.json is missing or torn" in capsys.readouterr().err


def test_status_tells_of_a_search(run: Any, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(*AT)
    assert main(["status", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "networks stored: 4 of 4" in printed
    assert "evidence stored: 8 of 8" in printed


def test_the_same_search_again_computes_nothing(
    run: Any, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first, _ = run(*AT)
    record = kept(out)
    monkeypatch.setattr("bench.jobs.kinds.Worker.execute", None)
    status, printed, err = run(*AT)
    assert (status, printed, kept(out)) == (0, first, record)
    assert stored_jobs(err) == 4 + 4 + 8


def test_ctrl_c_ends_with_130_and_the_search_goes_on_later(
    run: Any, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("bench.jobs.kinds.Worker._judge", interrupted)
        assert run(*AT)[0] == 130
    assert main(["status", str(out)]) == 0
    assert "evidence stored: 0 of 8" in capsys.readouterr().out
    status, _, err = run(*AT)
    assert status == 0
    assert stored_jobs(err) > 0
    assert kept(out)["choice"]


def test_no_test_image_reaches_a_search(
    tmp_path: Path,
    digits: DataSet,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same data with noise for a test set: the same keys, the same evidence, the same table."""
    rng = np.random.default_rng(1)
    found = []
    parts = {"x_train": digits.x_train[:, 0].numpy(), "y_train": digits.y_train.numpy()}
    for name in ("real", "noise"):
        x = digits.x_test[:, 0].numpy()
        y = digits.y_test.numpy()
        if name == "noise":
            x = rng.random(x.shape, dtype=np.float32)
            y = rng.integers(0, 10, y.shape)
        whole = functools.partial(lambda arrays, *_: arrays, parts | {"x_test": x, "y_test": y})
        source = dataclasses.replace(SOURCES["digits"], read=whole)
        monkeypatch.setattr("bench.data.datasets.SOURCES", {**SOURCES, "digits": source})
        out = tmp_path / name
        assert main([*AT[:5], *QUICK, "--out", str(out)]) == 0
        evidence = {p.parent.name: p.read_bytes() for p in out.rglob("witness.safetensors")}
        printed = capsys.readouterr().out.replace(str(out), "OUT")
        found.append((printed, kept(out)["trials"], kept(out)["cells"], evidence))
    assert found[0] == found[1]


def test_a_trial_that_fails_is_last_and_named_and_the_others_stand(run: Any, out: Path) -> None:
    grid = ("--grid", "weight=0.1,1e38", "--grid", "gamma=0.15")
    status, printed, _ = run("tune", "--method", "mmr", *grid, *QUICK)
    assert status == 1
    record = kept(out)
    assert [t["values"]["weight"] for t in record["trials"]] == [0.1, 1e38]
    assert [t["whole"] for t in record["trials"]] == [True, False]
    assert record["trials"][1]["robust_error_high"] is None
    assert record["choice"]["values"] == {"weight": 0.1, "gamma": 0.15}
    assert "Without success, and so last: weight=1e+38, gamma=0.15." in printed
    assert "diverged" in printed


def test_where_no_trial_succeeds_nothing_is_chosen(run: Any, out: Path, plugin_file: Write) -> None:
    plugin = plugin_file("broken", evaluator("raise KeyError('lost')"))
    asked = ("--eval", "broken", "--plugin", str(plugin))
    status, printed, _ = run(*AT[:5], *QUICK[:6], *asked)
    assert status == 1
    assert "Nothing is chosen: no trial succeeded." in printed
    assert "KeyError: 'lost'" in printed
    assert kept(out)["choice"] is None


def test_refusals_are_footnotes(run: Any, plugin_file: Write) -> None:
    plugin = plugin_file("picky", evaluator(refusal="'no ReLUs please'"))
    asked = ("--eval", "region,picky", "--plugin", str(plugin))
    status, printed, _ = run(*AT[:5], *QUICK[:6], *asked)
    assert status == 0
    assert printed.count("[1]") == 2 + 1
    assert "[1] plugin: no ReLUs please" in printed


def test_seeds_are_folded_into_one_trial(run: Any, out: Path) -> None:
    status, printed, _ = run(*AT[:5], *QUICK, "--seeds", "0,1")
    assert status == 0
    record = kept(out)
    assert [len(t["rows"]) for t in record["trials"]] == [2, 2]
    best = record["trials"][0]
    means = np.mean([row["robust_error_high"] for row in best["rows"]])
    assert best["robust_error_high"] == pytest.approx(float(means))
    assert " ± " in printed
    assert pd.read_csv(out / "tune.csv")["trial"].tolist() == [1, 1, 2, 2]


def test_a_dry_run_writes_nothing(run: Any, out: Path) -> None:
    status, printed, _ = run(*AT, "--dry-run")
    assert status == 0
    assert "4 cells, 16 jobs" in printed
    assert not out.exists()


@pytest.mark.parametrize("field", ["box", "KW.box", "methods.kw.box"])
def test_a_field_is_known_with_and_without_its_method(run: Any, out: Path, field: str) -> None:
    status, _, _ = run("tune", "--method", "KW", "--grid", f"{field}=true,false", *QUICK)
    assert status == 0
    assert {t["values"]["box"] for t in kept(out)["trials"]} == {True, False}
    assert "--set methods.kw.box=" in kept(out)["choice"]["command"]


MMR = ("tune", "--method", "mmr")
GRID = (*MMR, "--grid", "weight=0.1,1")
WRONG = [
    (("tune",), "required: --method"),
    (("tune", "--method", "mrm", "--grid", "weight=1"), "did you mean 'mmr'"),
    (("tune", "--method", "mmr,at", "--grid", "weight=1"), "one --method, got 'mmr,at'"),
    (MMR, "tune expects a --grid FIELD=value,value, such as --grid weight="),
    ((*MMR, "--grid", "weight"), "--grid expects FIELD=value,value, got 'weight'"),
    ((*MMR, "--grid", "weight="), "--grid expects names or numbers between commas"),
    ((*MMR, "--grid", "wieght=1"), "--grid expects a field of mmr, got 'wieght'"),
    ((*MMR, "--grid", "mmr.wieght=1"), "did you mean 'weight'"),
    ((*MMR, "--grid", "train.lrr=1"), "did you mean 'train.lr'"),
    ((*MMR, "--grid", "pgd.steps=1,2"), "--grid expects a field of mmr, got 'pgd.steps'"),
    ((*MMR, "--grid", "weight=x"), "weight must be of type float, got 'x'"),
    ((*MMR, "--grid", "weight=-1"), "mmr.weight must be at least 0, got -1"),
    ((*GRID, "--grid", "mmr.weight=2"), "--grid weight is given twice"),
    ((*GRID, "--set", "mmr.weight=2"), "this field is given twice"),
    ((*GRID, "--dataset", "digits,mnist"), "tune expects one --dataset, got 'digits,mnist'"),
    ((*GRID, "--arch", "fc1,cnn"), "tune expects one --arch, got 'fc1,cnn'"),
    ((*GRID, "--norm", "l2,l1"), "tune expects one --norm, got 'l2,l1'"),
    ((*GRID, "--eps", "0.1,0.2"), "tune expects one --eps, got '0.1,0.2'"),
    ((*GRID, "--held-out", "0"), "--held-out expects a share between 0 and 1, got '0'"),
    ((*GRID, "--held-out", "1"), "--held-out expects a share between 0 and 1, got '1'"),
    ((*GRID, "--held-out", "half"), "--held-out expects a share between 0 and 1, got 'half'"),
    ((*GRID, "--points", "138"), "--points 138: digits has 137 held-out (0.1) inputs"),
    ((*GRID, "--methods", "at"), "did you mean '--method'"),
]


@pytest.mark.parametrize(("arguments", "complaint"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_a_wrong_search_is_one_line_status_2_and_nothing_written(
    arguments: tuple[str, ...], complaint: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(out)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert complaint in err
    assert not out.exists()
