"""Fronts of methods, clean against robust error, as markdown and CSV."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
from tabulate import tabulate

from bench.search.front import undominated
from bench.search.tune import Trial
from leaderboard.row import Row
from leaderboard.seed_groups import plain
from leaderboard.tables import mean

HEADERS = (
    "method",
    "settings",
    "test error (%)",
    "robust error ≥ (%)",
    "robust error ≤ (%)",
    "held out ≤ (%)",
    "trained (s)",
    "judged (s)",
    "joint",
)
LEGEND = """\
Each line is a network that no other trial of its method beat in both errors, on training images
that were held out; only *held out* is about these, and it is what chose. All else is about the test
set. With several seeds: the mean, and the standard deviation after ±. *trained*, *judged*: seconds
of all seeds. *joint*: whether no other line of the table is better in both test error and
robust error ≤."""
Fronts = Mapping[str, Sequence[Trial[Row]]]
"""method -> trials"""


def fronts_to_markdown(tested: Fronts, held: Fronts, *, share: float) -> str:
    """What was searched, and the table; methods in the order of the request."""
    every = [trial for trials in tested.values() for trial in trials]
    if not every:
        return "No trial succeeded, so there is no front.\n"
    joint = {id(trial) for trial in undominated(every)}
    first = every[0].rows[0]
    count = ", ".join(f"{len(trials)} of {rows_label(trials)}" for trials in held.values())
    lines = [
        _line(trial, _held_out(trial, held[name]), id(trial) in joint)
        for name, trial in _in_order(tested)
    ]
    align = ["left", "left", *["right"] * (len(HEADERS) - 3), "center"]
    drawn = tabulate(lines, HEADERS, tablefmt="pipe", colalign=align, disable_numparse=True)
    about = f"{first.dataset} {first.arch} {first.threat}, {first.points} test inputs"
    part = f"{100 * share:g} % of the training images held out"
    return f"Fronts on {about}; {part}; trials: {count}\n\n{drawn}\n\n{LEGEND}\n"


def rows_label(trials: Sequence[Trial[Row]]) -> str:
    """What the trials' method is called."""
    return trials[0].rows[0].label if trials else "a method without trials"


def _in_order(fronts: Fronts) -> Iterator[tuple[str, Trial[Row]]]:
    """Method by method, by test error."""
    for name, trials in fronts.items():
        for trial in sorted(trials, key=lambda t: t.mean("test_error") or 0.0):
            yield name, trial


def _held_out(trial: Trial[Row], held: Sequence[Trial[Row]]) -> float | None:
    """The robust error of the same trial on held-out images."""
    same = [other for other in held if other.values == trial.values]
    return same[0].mean("robust_error_high") if same else None


def _line(trial: Trial[Row], held: float | None, joint: bool) -> list[str]:
    settings = ", ".join(f"{name}={value:g}" for name, value in trial.values.items())
    return [
        plain(rows_label([trial])) + (f" ({len(trial.rows)} seeds)" if trial.rows[1:] else ""),
        plain(settings) or "–",
        _percent(trial, "test_error"),
        _percent(trial, "robust_error_low"),
        _percent(trial, "robust_error_high"),
        "–" if held is None else f"{100 * held:.2f}",
        _seconds(row.train_seconds for row in trial.rows),
        _seconds(sum(row.seconds.values()) for row in trial.rows),
        "*" if joint else "",
    ]


def _percent(trial: Trial[Row], name: str) -> str:
    return mean([getattr(row, name) for row in trial.rows], 100, 2)


def _seconds(values: Iterator[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known):.0f}" if known else "–"


def fronts_to_csv(tested: Fronts, held: Fronts) -> str:
    """A line for each trial, seed and part ("held out" or "test"), with its settings."""
    lines = [
        {
            "method": row.method,
            "part": part,
            "seed": row.seed,
            **trial.values,
            **row.columns(("test_error", "robust_error_low", "robust_error_high", "undecided")),
            "train_seconds": row.train_seconds,
            "judge_seconds": sum(row.seconds.values()),
        }
        for part, fronts in (("held out", held), ("test", tested))
        for trials in fronts.values()
        for trial in trials
        for row in trial.rows
    ]
    return str(pd.DataFrame(lines).to_csv(index=False))
