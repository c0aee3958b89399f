"""Networks under several norms at once: fooled under any of them, certified under all."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from leaderboard import seed_groups
from leaderboard.merge import case
from leaderboard.published import read_csv
from leaderboard.row import CERTIFIED, FOOLED, Row

HEADERS = (
    "data set",
    "arch",
    "method",
    "trained for",
    "points",
    "test error (%)",
    "robust error ≥ (%)",
    "robust error ≤ (%)",
    "undecided (%)",
    "published",
)
LEGEND = """\
*robust error ≥*: inputs that are fooled under at least one of the threats; *robust error ≤*: inputs
that are not certified under each of them. *published*: test error, and robust error from and to, of
Croce and Hein 2020, Table 2."""
FILE = Path(__file__).parent / "published_unions.csv"


def unions_to_markdown(rows: Sequence[Row]) -> str:
    """A table for each set of threats that networks were judged under; "" where there is none."""
    sets: dict[str, list[list[Row]]] = {}
    for network in _networks(rows):
        sets.setdefault(network[0].settings["judged"], []).append(network)
    return "\n".join(_table(judged, networks) for judged, networks in sets.items())


def union(rows: Sequence[Row]) -> tuple[float, float]:
    """The robust error of one network under all its rows' threats: from and to, as shares."""
    letters = np.array([list(row.verdicts) for row in rows])
    fooled = (letters == FOOLED).any(0)
    certified = (letters == CERTIFIED).all(0)
    return float(fooled.mean()), float((~certified).mean())


def published_union(row: Row) -> str:
    """What [CH20b, Table 2] says of a network under a union; "" where it says nothing."""
    trained = row.settings.get("train.threat", "").partition(" ")[0]
    about = {
        "dataset": row.dataset,
        "arch": row.arch,
        "method": row.method,
        "trained": trained,
        "judged": ",".join(sorted(row.settings["judged"].split(","))),
    }
    for line in read_csv(FILE):
        if all(line[key] == value for key, value in about.items()):
            low, high = line["robust_error_low"], line["robust_error_high"]
            return f"{line['test_error']}; {low} to {high}"
    return ""


def _networks(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each network that has one, judged, for each threat of a union."""
    by_network: dict[object, list[Row]] = {}
    for row in rows:
        if (judged := row.settings.get("judged")) and row.verdicts:
            key = judged, row.network, row.points, row.weights
            by_network.setdefault(key, []).append(row)
    whole = [part for part in by_network.values() if len({case(row) for row in part}) > 1]
    return [part for part in whole if len(part) == part[0].settings["judged"].count("=")]


def _table(judged: str, networks: Sequence[Sequence[Row]]) -> str:
    groups: dict[tuple[str, ...], list[Sequence[Row]]] = {}
    for network in networks:
        groups.setdefault(tuple(row.group for row in network), []).append(network)
    labels = seed_groups.labels([row for network in networks for row in network[:1]])
    lines = []
    for group in groups.values():
        first = group[0][0]
        bounds = np.array([union(network) for network in group])
        seeds = f" ({len(group)} seeds)" if len(group) > 1 else ""
        lines.append(
            [
                first.dataset,
                first.arch,
                seed_groups.plain(labels[first.group]) + seeds,
                str(first.settings.get("train.threat", seed_groups.DASH)),
                str(first.points),
                _percent([network[0].test_error or 0.0 for network in group]),
                *(_percent(bounds[:, side].tolist()) for side in (0, 1)),
                _percent((bounds[:, 1] - bounds[:, 0]).tolist()),
                published_union(first) or seed_groups.DASH,
            ]
        )
    align = ["left"] * 4 + ["right"] * (len(HEADERS) - 4)
    drawn = tabulate(lines, HEADERS, tablefmt="pipe", colalign=align, disable_numparse=True)
    return f"Under the union of {judged.replace(',', ', ')}\n\n{drawn}\n\n{LEGEND}\n"


def _percent(shares: Sequence[float]) -> str:
    mean = math.fsum(shares) / len(shares)
    if len(shares) == 1:
        return f"{100 * mean:.2f}"
    wide = math.sqrt(math.fsum((share - mean) ** 2 for share in shares) / (len(shares) - 1))
    return f"{100 * mean:.2f} ± {100 * wide:.2f}"
