"""Everything that a run prints and writes of its rows."""

from collections.abc import Mapping, Sequence

from leaderboard.attribution import attribution_to_csv, attribution_to_markdown
from leaderboard.comparison import beside_to_csv, beside_to_markdown
from leaderboard.row import Row
from leaderboard.sampling import sampling_to_markdown
from leaderboard.tables import (
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
