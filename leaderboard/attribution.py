"""Which evaluator decided how many inputs, alone or not, and at what cost."""

from collections.abc import Sequence

import pandas as pd

from bench.store.records import plain
from leaderboard import seed_groups
from leaderboard.row import Contribution, Row
from leaderboard.seed_groups import DASH
from leaderboard.tables import mean

COUNTS = {
    "worked": "inputs",
    "fooled": "fooled",
    "certified": "certified",
    "alone": "it alone",
    "exact": "exact",
}
HEADERS = ["evaluator", *COUNTS.values(), "own radius ≥", "excess (%)", "s", "s per decided"]
LEGEND = """\
What each evaluator adds, in correctly classified inputs. *inputs*: left to it. *fooled*,
*certified*: decided at eps by its own evidence; *it alone*: by no other's. *exact*: its bound is
the exact radius. *own radius ≥*: mean of its own bound over all points. *excess*: how much farther
its witnesses are than exact radii, on average."""


def attribution_to_markdown(rows: Sequence[Row]) -> str:
    """A line per row and evaluator, means over seeds; "" where nothing was judged."""
    labels = seed_groups.labels(rows)
    lines = [
        [*seed_groups.leading_cells(group, labels[group[0].group]), *_line(group, name)]
        for group in seed_groups.groups(rows)
        for name in group[0].evaluator_labels
        if all(name in row.contributions for row in group)
    ]
    if not lines:
        return ""
    return f"{seed_groups.table(lines, [*seed_groups.ABOUT, *HEADERS])}\n{LEGEND}\n"


def _line(group: Sequence[Row], name: str) -> list[str]:
    parts = [row.contributions[name] for row in group]
    cost = sum(row.seconds[name] for row in group) / len(group)
    decided = sum(_decided(part) for part in parts) / len(parts)
    return [
        seed_groups.plain(group[0].evaluator_labels[name]),
        *(mean([getattr(part, key) for part in parts], 1, 0) for key in COUNTS),
        mean([part.radius_low for part in parts], 1, 4),
        mean([part.excess for part in parts], 100, 2),
        f"{cost:.1f}",
        f"{cost / decided:.4f}" if decided else DASH,
    ]


def _decided(part: Contribution) -> int:
    return part.fooled + part.certified


def attribution_to_csv(rows: Sequence[Row]) -> str:
    """One line per row and evaluator, in full precision."""
    columns = ("dataset", "arch", "norm", "eps", "method", "label", "group", "seed", "points")
    lines = [
        row.columns(columns) | {"evaluator": name} | plain(part) | {"seconds": row.seconds[name]}
        for row in rows
        for name, part in row.contributions.items()
    ]
    return str(pd.DataFrame(lines).to_csv(index=False)) if lines else ""
