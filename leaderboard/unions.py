"""Networks under several norms at once: fooled under any of them, certified under all."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from bench.parsing import parse_eps
from leaderboard import seed_groups
from leaderboard.published import read_csv
from leaderboard.row import CERTIFIED, FOOLED, Row
from leaderboard.tables import mean
from relu.threat import Norm, Threat, format_eps

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


Threats = tuple[tuple[str, float], ...]
"""norms and radii, in the order of the norms"""


def unions_to_markdown(rows: Sequence[Row]) -> str:
    """A table for each set of threats that networks were judged under; "" where there is none."""
    sets: dict[Threats, list[list[Row]]] = {}
    for network in _networks(rows):
        sets.setdefault(_threats(network[0].union), []).append(network)
    return "\n".join(_table(threats, networks) for threats, networks in sets.items())


def _threats(union: Mapping[Norm, float]) -> Threats:
    return tuple(sorted(union.items()))


def union(rows: Sequence[Row]) -> tuple[float, float]:
    """The robust error of one network under all its rows' threats: from and to, as shares."""
    letters = np.array([list(row.verdicts) for row in rows])
    fooled = (letters == FOOLED).any(0)
    certified = (letters == CERTIFIED).all(0)
    return float(fooled.mean()), float((~certified).mean())


def published_union(row: Row) -> str:
    """What [CH20b, Table 2] says of a network under a union; "" where it says nothing."""
    about = {
        "dataset": row.dataset,
        "arch": row.arch,
        "method": row.method,
        "trained": row.trained["norm"] if row.trained else "",
    }
    for line in read_csv(FILE):
        radii = {norm: parse_eps(line[norm]) for norm in ("l1", "l2", "linf")}
        if radii == row.union and all(line[key] == value for key, value in about.items()):
            low, high = line["robust_error_low"], line["robust_error_high"]
            return f"{line['test_error']}; {low} to {high}"
    return ""


def _networks(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each network that has one, judged, for each threat of a union."""
    by_network: dict[object, dict[str, Row]] = {}
    for row in rows:
        if row.verdicts and row.union.get(row.norm) == row.eps:
            data = row.data.get("test")
            key = _threats(row.union), row.network, row.weights, row.points, row.box, data
            by_network.setdefault(key, {})[row.norm] = row
    judged = [list(by_norm.values()) for by_norm in by_network.values()]
    return [part for part in judged if len(part) == len(part[0].union) > 1]


def _table(threats: Threats, networks: Sequence[Sequence[Row]]) -> str:
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
                str(Threat.from_json(first.trained)) if first.trained else seed_groups.DASH,
                str(first.points),
                mean([network[0].test_error for network in group], 100, 2),
                *(mean(bounds[:, side].tolist(), 100, 2) for side in (0, 1)),
                mean((bounds[:, 1] - bounds[:, 0]).tolist(), 100, 2),
                published_union(first) or seed_groups.DASH,
            ]
        )
    align = ["left"] * 4 + ["right"] * (len(HEADERS) - 4)
    drawn = tabulate(lines, HEADERS, tablefmt="pipe", colalign=align, disable_numparse=True)
    named = ", ".join(f"{norm} {format_eps(eps)}" for norm, eps in threats)
    return f"Under the union of {named}\n\n{drawn}\n\n{LEGEND}\n"
