"""Rows as markdown for people, CSV and JSON for programs."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from leaderboard import seed_groups
from leaderboard.row import Row
from leaderboard.seed_groups import ABOUT, DASH

HEADERS = {
    "test_error": "test error (%)",
    "robust_error_low": "robust error ≥ (%)",
    "robust_error_high": "robust error ≤ (%)",
    "undecided": "undecided (%)",
    "radius_low": "radius ≥",
    "radius_high": "radius ≤",
    "exact_share": "exact (%)",
    "exact_over_kw": "over KW (%)",
}
LEGEND = """\
Each network stands between two proven numbers. *robust error ≥*: inputs that are misclassified
or have an adversarial input within eps, replayed in float64. *robust error ≤*: inputs without a
certificate at eps. *undecided*: the gap. *radius*: bounds on the mean norm of the smallest
adversarial perturbation, 0 for misclassified inputs. *exact*: inputs whose radius is known; *over
KW*: how much larger it is than KW's bound on them. Test error is over the whole test set,
everything else over the first *points* inputs of it. Under an evaluator's name: how many inputs
were left to it."""


def to_json(rows: Sequence[Row]) -> str:
    """A list of rows, every number in full precision, without what clocks measured."""
    return json.dumps([timeless_json(row) for row in rows], indent=1, allow_nan=False) + "\n"


def to_csv(rows: Sequence[Row]) -> str:
    """One line per row, without what clocks measured; settings spread over columns."""
    return str(pd.DataFrame([csv_line(row) for row in rows]).to_csv(index=False))


def csv_line(row: Row) -> dict[str, Any]:
    """What a line of the CSV says of a row: what is one value, then the settings, then notes."""
    said = timeless_json(row) | {"eps": row.printed_eps}
    single = {k: v for k, v in said.items() if not isinstance(v, dict | list)}
    single.pop("verdicts", None)  # as long as the test set
    return single | dict(row.settings) | {"notes": "; ".join(notes_of(row))}


def seconds_to_csv(rows: Sequence[Row]) -> str:
    """What each row cost: seconds of its training and of each evaluator."""
    columns = ("dataset", "arch", "norm", "eps", "method", "label", "group", "seed", "points")
    costs = [
        row.columns(columns) | {"train": row.train_seconds} | dict(row.seconds) for row in rows
    ]
    return str(pd.DataFrame(costs).to_csv(index=False))


def seconds_to_markdown(rows: Sequence[Row]) -> str:
    """The cost of each line of `to_markdown`, in the same order; per input in brackets."""
    evaluators = _evaluators(rows)
    labels = seed_groups.labels(rows)
    lines = [
        [
            *seed_groups.leading_cells(group, labels[group[0].group]),
            mean([row.train_seconds for row in group], 1, 1),
            *(_cost(group, name) for name in evaluators),
        ]
        for group in seed_groups.groups(rows)
    ]
    headers = [*ABOUT, "train (s)", *(f"{label} (s)" for label in evaluators.values())]
    return seed_groups.table(lines, headers)


def timeless_json(row: Row) -> dict[str, Any]:
    """A row as plain JSON, without what clocks measured."""
    measured = ("train_seconds", "seconds")
    return {name: value for name, value in row.to_json().items() if name not in measured}


@dataclass(frozen=True, kw_only=True)
class Printed:
    """The cells of a table as they are printed, and its footnotes."""

    headers: Sequence[str]
    lines: Sequence[Sequence[str]]
    footnotes: Sequence[str]


def printed_table(rows: Sequence[Row]) -> Printed:
    """A line for each method, seeds folded into mean ± standard deviation."""
    evaluators = _evaluators(rows)
    labels = seed_groups.labels(rows)
    footnotes: list[str] = []
    lines = []
    for group in seed_groups.groups(rows):
        lines.append(_line(group, labels[group[0].group], evaluators, footnotes))
    headers = [*ABOUT, *HEADERS.values(), *evaluators.values()]
    return Printed(headers=headers, lines=lines, footnotes=footnotes)


def to_markdown(rows: Sequence[Row]) -> str:
    """The printed table, with footnotes and what its columns mean."""
    table = printed_table(rows)
    drawn = seed_groups.table(table.lines, table.headers)
    return f"{drawn}{footer(table.footnotes)}\n{LEGEND}\n"


def _evaluators(rows: Sequence[Row]) -> dict[str, str]:
    return {name: label for row in rows for name, label in row.evaluator_labels.items()}


def _line(
    rows: Sequence[Row], label: str, evaluators: dict[str, str], footnotes: list[str]
) -> list[str]:
    line = seed_groups.leading_cells(rows, label)
    network_notes = [n for row in rows for n in notes_of(row, "network", "contradictions")]
    line[3] += marks(network_notes, footnotes)
    line += numbers(rows, tuple(HEADERS))
    for name in evaluators:
        notes = [n for row in rows for n in notes_of(row, name)]
        line.append(_judged(rows, name) + marks(notes, footnotes))
    return line


def numbers(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    """What stands under HEADERS of those names: percents, and radii in pixel units."""
    texts = []
    for name in names:
        scale, digits = (1, 4) if name.startswith("radius") else (100, 2)
        texts.append(mean([getattr(row, name) for row in rows], scale, digits))
    return texts


def _cost(rows: Sequence[Row], evaluator: str) -> str:
    """Seconds, and how many of them an input took that the evaluator worked on."""
    total = mean([row.seconds.get(evaluator) for row in rows], 1, 1)
    worked = sum(_worked(row, evaluator) or 0 for row in rows)
    if total == DASH or not worked:
        return total
    return f"{total} ({sum(row.seconds[evaluator] for row in rows) / worked:.4f})"


def _judged(rows: Sequence[Row], evaluator: str) -> str:
    """How many inputs the evaluator worked on, a dash where it did not run."""
    worked = [count for row in rows if (count := _worked(row, evaluator)) is not None]
    return str(round(statistics.fmean(worked))) if len(worked) == len(rows) else DASH


def _worked(row: Row, evaluator: str) -> int | None:
    """How many inputs the evaluator worked on, None where it did not run."""
    counts = row.statuses.get(evaluator)
    if counts is None:
        return None
    return sum(int(n) for status, n in counts.items() if status != "skipped")


def mean(values: Sequence[float | None], scale: float, digits: int) -> str:
    """The mean (and the standard deviation of several), a dash where any value is unknown."""
    known = [v * scale for v in values if v is not None]
    if not known or len(known) < len(values):
        return DASH
    spread = f" ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else ""
    return f"{math.fsum(known) / len(known):.{digits}f}{spread}"


def footer(footnotes: Sequence[str]) -> str:
    """The footnotes below a table, each on a line of its own."""
    return "".join(f"\n[{i}] {seed_groups.plain(note)}  " for i, note in enumerate(footnotes, 1))


def marks(notes: Sequence[str], footnotes: list[str]) -> str:
    """Numbers of the footnotes that say `notes`, which are added where new."""
    for note in notes:
        if note not in footnotes:
            footnotes.append(note)
    return "".join(f" [{i}]" for i in sorted({footnotes.index(n) + 1 for n in notes}))


def notes_of(row: Row, *parts: str) -> list[str]:
    """Everything that keeps a row from being whole, or only what is said of these parts."""
    notes = [(name, f"{_name(row, name)}: {why}") for name, why in row.failures.items()]
    notes += [(name, f"{_name(row, name)}: {why}") for name, why in row.refusals.items()]
    for name, counts in row.unfinished.items():
        notes += [(name, f"{_name(row, name)}: {o} ({n} inputs)") for o, n in counts.items()]
    if row.left_out:
        where = ", ".join(row.left_out)
        said = f"{_name(row, 'network')}: trained to other weights in {where}, left out here"
        notes.append(("network", said))
    if row.contradictions:
        first = row.contradictions[0]
        count = len(row.contradictions)
        more = f" (and {count - 1} more)" if count > 1 else ""
        said = f"CONTRADICTION, its certificates are withdrawn: {first}{more}"
        notes.append(("contradictions", said))
    return [note for name, note in notes if not parts or name in parts]


def _name(row: Row, part: str) -> str:
    seed = "" if row.seed is None else f", seed {row.seed}"
    return f"{row.label}{seed}" if part == "network" else row.evaluator_labels[part]
