"""Everything that a run prints and writes of its rows."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from leaderboard.attribution import attribution_to_csv, attribution_to_markdown
from leaderboard.comparison import beside_to_csv, beside_to_markdown
from leaderboard.latex import to_latex
from leaderboard.row import Row
from leaderboard.sampling import sampling_to_markdown
from leaderboard.tables import (
    printed_table,
    seconds_to_csv,
    seconds_to_markdown,
    to_csv,
    to_json,
    to_markdown,
)
from leaderboard.unions import unions_to_markdown


def printed(rows: Sequence[Row]) -> str:
    """The tables for a terminal; who decided what is a long one, and only written."""
    drawn = [
        to_markdown(rows),
        unions_to_markdown(rows),
        beside_to_markdown(rows),
        seconds_to_markdown(rows),
    ]
    return "\n".join(filter(None, drawn))


def _latex(rows: Sequence[Row]) -> str:
    table = printed_table(rows)
    return to_latex(table.headers, table.lines, table.footnotes)


def _csv(rows: Sequence[Row]) -> str:
    """The cells of the printed table, and no more."""
    table = printed_table(rows)
    return str(pd.DataFrame(table.lines, columns=list(table.headers)).to_csv(index=False))


FORMATS: Mapping[str, Callable[[Sequence[Row]], str]] = {
    "markdown": printed,
    "csv": _csv,
    "json": to_json,
    "latex": _latex,
}
"""How rows are printed, by name: all tables; the first one's cells; rows in full precision"""


def written(rows: Sequence[Row]) -> Mapping[str, str]:
    """File name -> text; "" for a file that there should not be."""
    beside = beside_to_markdown(rows)  # "" where no row has published values
    return {
        "leaderboard.md": to_markdown(rows),
        "leaderboard.csv": to_csv(rows),
        "leaderboard.json": to_json(rows),
        "attribution.md": attribution_to_markdown(rows),
        "attribution.csv": attribution_to_csv(rows),
        "unions.md": unions_to_markdown(rows),
        "sampling.md": sampling_to_markdown(rows),
        "seconds.md": seconds_to_markdown(rows),
        "seconds.csv": seconds_to_csv(rows),
        "published.md": beside,
        "published.csv": beside_to_csv(rows) if beside else "",
    }
