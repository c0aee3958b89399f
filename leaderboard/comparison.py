"""Measured values beside published ones, for rows that a suite sets beside a paper's table."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from leaderboard import seed_groups
from leaderboard.published import QUANTITIES, published, tables
from leaderboard.row import Row
from leaderboard.seed_groups import DASH

LEGEND = """\
Measured, in brackets as published and the difference; means over seeds; shares in percent, radii
in pixel units."""
EXACT = """\
*exact*: of the correctly classified inputs; published: of all, about the predicted class."""


@dataclass(frozen=True, kw_only=True)
class _Line:
    """Rows that differ in their seed only, beside what a table says of them."""

    rows: Sequence[Row]
    label: str
    said: dict[str, str]

    def measured(self, quantity: str) -> float | None:
        """The mean over seeds, None where any is unknown."""
        known = [QUANTITIES[quantity].measure(row) for row in self.rows]
        values = [value for value in known if value is not None]
        return math.fsum(values) / len(values) if len(values) == len(known) else None

    def text(self, quantity: str) -> str:
        """As "measured (published, difference)", a dash for what is unknown."""
        if quantity not in self.said:
            return DASH
        said = self.said[quantity]
        measured = self.measured(quantity)
        if measured is None:
            return f"{DASH} ({said})"
        return f"{measured:.2f} ({said}, {measured - float(said):+z.2f})"


def _lines(rows: Sequence[Row], table: str) -> list[_Line]:
    """The lines of a table, those that it says nothing of left out."""
    labels = seed_groups.labels(rows)
    groups = [group for group in seed_groups.groups(rows) if table in group[0].published]
    lines = [_Line(rows=g, label=labels[g[0].group], said=published(g[0], table)) for g in groups]
    return [line for line in lines if line.said]


def beside_to_markdown(rows: Sequence[Row]) -> str:
    """A table for each published one that rows are set beside, "" where there is none."""
    by_table = {table: lines for table in tables() if (lines := _lines(rows, table))}
    drawn = [
        f"Measured beside published, {table}:\n\n{_drawn(by_table[table])}" for table in by_table
    ]
    exact = any("exact_share" in line.said for lines in by_table.values() for line in lines)
    legend = "\n".join([LEGEND, EXACT] if exact else [LEGEND])
    return "\n".join([*drawn, f"{legend}\n"]) if drawn else ""


def _drawn(lines: Sequence[_Line]) -> str:
    quantities = [name for name in QUANTITIES if any(name in line.said for line in lines)]
    headers = [*seed_groups.ABOUT, *(QUANTITIES[name].header for name in quantities)]
    return seed_groups.table(
        [
            [*seed_groups.leading_cells(line.rows, line.label), *map(line.text, quantities)]
            for line in lines
        ],
        headers,
    )


def beside_to_csv(rows: Sequence[Row]) -> str:
    """One line per line and quantity of the markdown tables, in full precision."""
    return str(pd.DataFrame(beside(rows)).to_csv(index=False))


def beside(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What is measured and what is published, a record per line and quantity of the tables."""
    return [
        part for table in tables() for line in _lines(rows, table) for part in _long(line, table)
    ]


def _long(line: _Line, table: str) -> Iterator[dict[str, Any]]:
    first = line.rows[0]
    subject = first.columns(("dataset", "arch", "norm", "eps", "method"))
    subject |= {"label": line.label, "seeds": len(line.rows), "points": first.points}
    for quantity, said in line.said.items():
        measured = line.measured(quantity)
        difference = None if measured is None else measured - float(said)
        yield {
            "table": table,
            **subject,
            "quantity": quantity,
            "measured": measured,
            "published": float(said),
            "difference": difference,
        }
