"""Rows folded into lines for people: seeds together, each line told from its likes."""

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from leaderboard.rows import Row
from relu.threat import Threat, parse_box

DASH = "–"
ABOUT = ("data set", "arch", "threat", "method", "points")


def groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows that differ in nothing but their seed; rows without a seed stand alone."""
    found: dict[object, list[Row]] = {}
    for i, row in enumerate(rows):
        found.setdefault(row["group"] if row["seed"] is not None else i, []).append(row)
    return list(found.values())


def labels(rows: Sequence[Row]) -> dict[str, str]:
    """Each group's label, with the settings that tell it from others of the same name."""
    named: dict[Any, dict[str, Row]] = {}
    for row in rows:
        alike = tuple(row[k] for k in ("dataset", "arch", "norm", "eps", "label", "points", "box"))
        named.setdefault(alike, {}).setdefault(row["group"], row)
    found = {}
    for likes in named.values():
        names = sorted({name for row in likes.values() for name in row["settings"]})
        told = [
            name
            for name in names
            if len({str(row["settings"].get(name)) for row in likes.values()}) > 1
        ]
        for group, row in likes.items():
            parts = [f"{name}={row['settings'][name]}" for name in told if name in row["settings"]]
            if len(likes) > 1 and not parts:  # other data, code or weights: nothing to name
                parts = [f"#{group[:6]}"]
            found[group] = row["label"] + (f" ({', '.join(parts)})" if parts else "")
    return found


def about(rows: Sequence[Row], label: str) -> list[str]:
    """The cells under ABOUT."""
    first = rows[0]
    seeds = f" ({len(rows)} seeds)" if len(rows) > 1 else ""
    return [
        first["dataset"],
        first["arch"],
        threat_of(first),
        plain(label) + seeds,
        str(first["points"]),
    ]


def threat_of(row: Mapping[str, Any]) -> str:
    """A row's threat, as printed."""
    return str(Threat(norm=row["norm"], eps=row["eps"], box=parse_box(row["box"])))


def plain(text: str) -> str:
    """One line that cannot be taken for a table's border."""
    return " ".join(text.split()).replace("|", "\\|")


def table(lines: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    """A markdown table whose first four columns are words and whose others are numbers."""
    align = ["left"] * 4 + ["right"] * (len(headers) - 4)
    drawn = tabulate(lines, headers=headers, tablefmt="pipe", colalign=align, disable_numparse=True)
    return f"{drawn}\n"
