"""How far attacks' witnesses are, over exact radii: tables [CAH19, Figure 4]."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from leaderboard import seed_groups
from leaderboard.contribution import exact_radii, own_bounds
from leaderboard.row import Row
from leaderboard.rows import Judged

FARTHER = (0.1, 0.2)  # of the exact radius: [CAH19, Section 5.2] counts witnesses beyond these
HEADERS = [
    "evaluator",
    "exact inputs",
    "mean excess (%)",
    *(f"≥ {100 * share:.0f} % farther (%)" for share in FARTHER),
    "largest (%)",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ratios:
    """Of one evaluator on one network: witness's radius over the exact one, descending.

    index: the test inputs, in the same order.
    """

    row: Row
    evaluator: str
    index: np.ndarray
    ratio: np.ndarray

    @property
    def label(self) -> str:
        return self.row.evaluator_labels[self.evaluator]


def ratios(judged: Iterable[tuple[Row, Judged]], evaluators: Sequence[str] = ()) -> list[Ratios]:
    """Of all evaluators (or those named) that have witnesses where the exact radius is known."""
    curves = []
    for row, behind in judged:
        exact = exact_radii(behind.verdict)
        index = behind.verdict.table["index"].to_numpy()
        for name, (_, high) in own_bounds(behind.verdict, behind.evidence).items():
            which = np.flatnonzero(np.isfinite(high) & ~np.isnan(exact))
            if not len(which) or (evaluators and name not in evaluators):
                continue
            ratio = high[which] / exact[which]
            order = np.argsort(-ratio, kind="stable")
            curves.append(
                Ratios(row=row, evaluator=name, index=index[which][order], ratio=ratio[order])
            )
    return curves


def ratios_to_markdown(curves: Sequence[Ratios]) -> str:
    """A line for each: how many inputs, how much farther than the exact radius."""
    labels = seed_groups.labels([curve.row for curve in curves])
    lines = [
        [
            *seed_groups.leading_cells([curve.row], labels[curve.row.group]),
            seed_groups.plain(curve.label),
            str(len(curve.ratio)),
            f"{100 * (curve.ratio.mean() - 1):.2f}",
            *(f"{100 * np.mean(curve.ratio >= 1 + share):.2f}" for share in FARTHER),
            f"{100 * (curve.ratio[0] - 1):.2f}",
        ]
        for curve in curves
    ]
    return seed_groups.table(lines, [*seed_groups.ABOUT, *HEADERS])


def ratios_to_csv(curves: Sequence[Ratios]) -> str:
    """A line per input: which evaluator on which network, test input, ratio; descending."""
    columns = ("dataset", "arch", "norm", "method", "label", "group", "seed")
    tables = [
        pd.DataFrame({"index": curve.index, "ratio": curve.ratio}).assign(
            **curve.row.columns(columns), evaluator=curve.evaluator
        )[[*columns, "evaluator", "index", "ratio"]]
        for curve in curves
    ]
    return str(pd.concat(tables).to_csv(index=False))
