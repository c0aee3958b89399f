"""Paired comparisons: does one method beat another on the same inputs, and how surely."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from tabulate import tabulate

from leaderboard import seed_groups
from leaderboard.merge import case
from leaderboard.row import CERTIFIED, FOOLED, Row

RESAMPLES = 10_000
LEVEL = 0.95
TIE = "tie"
HEADERS = ("data set", "arch", "threat", "points", "A", "B", "A − B (%)", "verdict", "confidence")
LEGEND = """\
*A − B*: by how much A's robust error is larger than B's, from A at its best (its undecided inputs
robust, B's not) to A at its worst, each with its 95 % interval over resampled inputs and seeds
(a bootstrap of pairs: both methods are judged on the same inputs). One of them wins where zero lies
outside of both intervals, on one side; else it is a tie. *confidence*: the share of resamples in
which the winner has the smaller error even at its worst. With one seed of a method, nothing is
known of how much another training would differ: the comparison is of these networks alone."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two methods on the same inputs; best, worst: A's robust error minus B's, and their intervals.

    best: with A's open inputs robust and B's fooled; worst: the other way round.
    """

    first: Sequence[Row]
    second: Sequence[Row]
    best: tuple[float, float, float]
    worst: tuple[float, float, float]
    confidence: float

    @property
    def winner(self) -> int:
        """0 for the first, 1 for the second, -1 for a tie."""
        if self.worst[2] < 0 and self.best[2] < 0:
            return 0
        return 1 if self.best[1] > 0 and self.worst[1] > 0 else -1


def pairs_of(rows: Sequence[Row]) -> Iterator[Pair]:
    """Every two methods that were judged on the same inputs under the same threat."""
    judged = [row for row in rows if row.verdicts]
    groups = seed_groups.groups(judged)
    for first, second in combinations(groups, 2):
        if _about(first[0]) == _about(second[0]) and first[0].group != second[0].group:
            yield compared(first, second)


def _about(row: Row) -> tuple[object, ...]:
    return (*case(row), row.points, row.data.get("test"))


def compared(first: Sequence[Row], second: Sequence[Row]) -> Pair:
    """The comparison of two methods' networks, a row for each seed."""
    letters = np.array([list(row.verdicts) for row in (*first, *second)])
    kinds, counts = np.unique(letters, axis=1, return_counts=True)  # inputs that are alike
    fooled = (kinds == FOOLED).astype(np.float64)
    not_certified = (kinds != CERTIFIED).astype(np.float64)
    seeds = np.array([len(first), len(second)])
    own = np.concatenate([np.ones(seeds[0]) / seeds[0], -np.ones(seeds[1]) / seeds[1]])
    best = np.where((own > 0)[:, None], fooled, not_certified)
    worst = np.where((own > 0)[:, None], not_certified, fooled)
    share = counts / counts.sum()
    sampled = np.array(
        [(w @ best @ p, w @ worst @ p) for w, p in _draws(seeds.tolist(), share, int(counts.sum()))]
    )
    won = (sampled[:, 1] < 0).mean(), (sampled[:, 0] > 0).mean()
    return Pair(
        first=first,
        second=second,
        best=_with_interval(own @ best @ share, sampled[:, 0]),
        worst=_with_interval(own @ worst @ share, sampled[:, 1]),
        confidence=float(max(won)),
    )


def _draws(
    seeds: Sequence[int], share: np.ndarray, points: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Weights of the seeds (the second method's are negative), and shares of the kinds of inputs.

    Inputs and the seeds of each method are drawn with replacement, the same for the same sizes.
    """
    random = np.random.default_rng(0)
    for _ in range(RESAMPLES):
        first, second = (random.multinomial(n, np.full(n, 1 / n)) / n for n in seeds)
        yield np.concatenate([first, -second]), random.multinomial(points, share) / points


def _with_interval(found: float, sampled: np.ndarray) -> tuple[float, float, float]:
    """A difference, and where resampled ones lie with LEVEL confidence."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(sampled, [tail, 100 - tail])
    return float(found), float(low), float(high)


def pairs_to_markdown(pairs: Sequence[Pair]) -> str:
    """A line for each pair; "" where there is none."""
    if not pairs:
        return ""
    labels = seed_groups.labels([row for pair in pairs for row in (*pair.first, *pair.second)])
    lines = []
    for pair in pairs:
        row = pair.first[0]
        names = [_named(rows, labels) for rows in (pair.first, pair.second)]
        winner = pair.winner
        lines.append(
            [
                row.dataset,
                row.arch,
                str(row.threat),
                str(row.points),
                *names,
                f"{_difference(pair.best)} to {_difference(pair.worst)}",
                TIE if winner < 0 else f"{'AB'[winner]} is better",
                seed_groups.DASH if winner < 0 else f"{100 * pair.confidence:.2f} %",
            ]
        )
    align = ["left"] * 3 + ["right"] + ["left"] * 2 + ["right", "left", "right"]
    drawn = tabulate(lines, HEADERS, tablefmt="pipe", colalign=align, disable_numparse=True)
    return f"{drawn}\n\n{LEGEND}\n"


def _named(rows: Sequence[Row], labels: dict[str, str]) -> str:
    seeds = f" ({len(rows)} seeds)" if len(rows) > 1 else ""
    return seed_groups.plain(labels[rows[0].group]) + seeds


def _difference(values: tuple[float, float, float]) -> str:
    found, low, high = (100 * value for value in values)
    return f"{found:+.2f} [{low:+.2f}, {high:+.2f}]"
