"""Mixed-integer programs as plain arrays, whoever solves them; what LP multipliers prove."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

FORM_ROUNDING = (
    1e-12  # of the sum of all absolute terms; what thousands of float64 terms lose, and more
)


@dataclass(frozen=True, eq=False)
class Program:
    """A minimum of cost . v + sum square v^2 + offset to be found, over all v with constraints.

    They are row_low <= rows v <= row_high, low <= v <= high, and v whole where it says so.

    Bounds of variables are finite. Without `square`, the objective is linear.
    """

    cost: np.ndarray
    rows: sparse.csr_array
    row_low: np.ndarray
    row_high: np.ndarray
    low: np.ndarray
    high: np.ndarray
    whole: np.ndarray
    offset: float = 0.0
    square: np.ndarray | None = None

    def violation(self, v: np.ndarray) -> float:
        """By how much v misses the constraint that it misses most; 0 if it satisfies all."""
        values = self.rows @ v
        misses = (
            self.row_low - values,
            values - self.row_high,
            self.low - v,
            v - self.high,
            np.abs(v - np.round(v))[self.whole],
        )
        return max(float(miss.max(initial=0.0)) for miss in misses)

    def asking(
        self, cost: np.ndarray, *, offset: float = 0.0, square: np.ndarray | None = None
    ) -> "Program":
        """The same constraints under another objective."""
        return replace(self, cost=cost, offset=offset, square=square)

    def pinned(self, v: np.ndarray) -> "Program":
        """The program with its whole numbers at v's."""
        low, high = (np.where(self.whole, np.round(v), ends) for ends in (self.low, self.high))
        return replace(self, low=low, high=high, whole=np.zeros_like(self.whole))

    def with_rows(
        self, rows: sparse.sparray, row_low: np.ndarray, row_high: np.ndarray
    ) -> "Program":
        """The program with more constraints."""
        return replace(
            self,
            rows=sparse.vstack([self.rows, rows], format="csr"),
            row_low=np.concatenate([self.row_low, row_low]),
            row_high=np.concatenate([self.row_high, row_high]),
        )

    def least(self, multipliers: np.ndarray) -> float:
        """A lower bound of the linear objective, whatever v: a proof, for any multipliers y.

        cost v >= sum_i (y_i > 0 ? y_i row_low_i : y_i row_high_i)
                  + sum_j min over low_j <= v_j <= high_j of (cost - rows^T y)_j v_j

        minus what rounding may have done to it [NS04]. Whole numbers are not asked for.
        """
        limit = np.where(multipliers > 0, self.row_low, self.row_high)
        y = np.where(np.isfinite(limit), multipliers, 0.0)
        weighted = y * np.where(y != 0, limit, 0.0)
        reduced = self.cost - self.rows.T @ y
        ends = np.minimum(reduced * self.low, reduced * self.high)
        widest = np.maximum(np.abs(self.low), np.abs(self.high))
        size = np.abs(weighted).sum() + (np.abs(self.cost) + abs(self.rows).T @ np.abs(y)) @ widest
        return float(weighted.sum() + ends.sum() + self.offset - FORM_ROUNDING * size)


def stacked(blocks: Sequence[sparse.sparray], width: int) -> sparse.csr_array:
    """Blocks of rows below each other, each filled up with zeros to the same width."""
    full = []
    for block in blocks:
        wide = sparse.csr_array(block)
        wide.resize((wide.shape[0], width))
        full.append(wide)
    if not full:
        return sparse.csr_array((0, width))
    return sparse.csr_array(sparse.vstack(full, format="csr"))
