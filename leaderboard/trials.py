"""Trials of a search for settings, the best first, as markdown, CSV and JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from tabulate import tabulate

from bench.search.tune import RULE, Trial, decided_by
from leaderboard.row import Row
from leaderboard.tables import (
    HEADERS,
    csv_line,
    footer,
    marks,
    notes_of,
    numbers,
    timeless_json,
)

HELD_OUT = "held-out error (%)"
COLUMNS = ("test_error", "robust_error_low", "robust_error_high", "undecided", "radius_low")
LEGEND = """\
Nothing here is about the test set: the networks were trained without the held-out images and judged
on them. *held-out error*: share of all held-out images that are misclassified. The other columns
are the leaderboard's, over the held-out images that were judged."""


def search_to_markdown(trials: Sequence[Trial[Row]], run: str | None, *, share: float) -> str:
    """What was searched, the table of trials, and the choice as the command line `run`."""
    first = trials[0].rows[0]
    subject = " ".join([first.label, "on", first.dataset, first.arch, str(first.threat)])
    held = f"{100 * share:g} % of the training images held out, {first.points} of them judged"
    return f"{subject}: {held}\n\n{trials_to_markdown(trials)}\n{_choice(trials, run)}\n"


def _choice(trials: Sequence[Trial[Row]], run: str | None) -> str:
    if run is None:
        return "Nothing is chosen: no trial succeeded."
    lines = [f"Chosen: {_named(trials[0])}; decided by {_why(trials)}."]
    if failed := [_named(trial) for trial in trials if not trial.whole]:
        lines.append(f"Without success, and so last: {'; '.join(failed)}.")
    return "\n".join([*lines, f"What decides: {RULE}.", "", f"    {run}"])


def _named(trial: Trial[Row]) -> str:
    return ", ".join(f"{name}={value}" for name, value in trial.values.items())


def _why(trials: Sequence[Trial[Row]]) -> str:
    why = decided_by(trials)
    return {"test_error": "held-out error"}.get(why, HEADERS.get(why, why).removesuffix(" (%)"))


def search_record(trials: Sequence[Trial[Row]], run: str | None, *, share: float) -> dict[str, Any]:
    """The search as plain JSON: the choice (None where no trial succeeded), how, all trials."""
    records = [trial_record(trial) for trial in trials]
    choice = None if run is None else {"values": records[0]["values"], "command": run}
    how = {"rule": RULE, "held_out": share}
    how |= {} if run is None else {"decided_by": _why(trials)}
    return {"choice": choice, "how": how, "trials": records}


def trials_to_markdown(trials: Sequence[Trial[Row]]) -> str:
    """A line per trial, seeds folded into mean ± standard deviation, with footnotes."""
    footnotes: list[str] = []
    lines = [_line(trial, footnotes) for trial in trials]
    fields = list(trials[0].values)
    headers = [*fields, *(HELD_OUT if n == "test_error" else HEADERS[n] for n in COLUMNS)]
    table = tabulate(
        lines,
        headers=headers,
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["right"] * len(headers),
    )
    return f"{table}\n{footer(footnotes)}\n{LEGEND}\n"


def _line(trial: Trial[Row], footnotes: list[str]) -> list[str]:
    shown = numbers(trial.rows, COLUMNS)
    notes = [note for row in trial.rows for note in notes_of(row)]
    shown[COLUMNS.index("robust_error_high")] += marks(notes, footnotes)
    return [*map(str, trial.values.values()), *shown]


def trials_to_csv(trials: Sequence[Trial[Row]]) -> str:
    """One line per trial and seed, the best trial first, with all settings and no times."""
    lines = [
        {"trial": i, **_renamed(csv_line(row))}
        for i, trial in enumerate(trials, 1)
        for row in trial.rows
    ]
    return str(pd.DataFrame(lines).to_csv(index=False))


def trial_record(trial: Trial[Row]) -> dict[str, Any]:
    """A trial as plain JSON: its values, means over seeds (None where unknown), and rows."""
    means = _renamed({name: trial.mean(name) for name in COLUMNS})
    rows = [_renamed(timeless_json(row)) for row in trial.rows]
    return {"values": dict(trial.values), "whole": trial.whole, **means, "rows": rows}


def _renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"held_out_error" if name == "test_error" else name: v for name, v in row.items()}
