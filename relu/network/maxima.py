"""Units that are maxima of entries of an earlier state: what a pooling leaves in a chain of layers.

max(a, b) = b + relu(a - b) says the same (relu/network/builder.py), but bounds of both summands do
not say that the maximum is at most the larger of the two bounds of a and b.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

Windows = Int[Tensor, "m k"]
"""entries of a state, a line for each window; -1: there is none there"""


@dataclass(frozen=True, eq=False)
class Maxima:
    """Units of a layer whose pre-activations are max over `plus`, less max over `minus`.

    units: which. level: the entries are of the state behind so many layers. minus: None where
    nothing is taken away.
    """

    units: slice
    level: int
    plus: Windows
    minus: Windows | None = None


@dataclass(frozen=True, eq=False)
class Columns:
    """Maxima of parts of windows, side by side: what is carried on, plus what was gained on it.

    -1: nothing. entries: of the state before the first round, the maximum of which each is.
    """

    carried: Int[Tensor, "w columns"]
    gained: Int[Tensor, "w columns"]
    entries: Int[Tensor, "w columns k"]

    @classmethod
    def of(cls, windows: Windows) -> "Columns":
        """Every entry alone."""
        return cls(windows, torch.full_like(windows, -1), windows.unsqueeze(2))

    @property
    def count(self) -> int:
        """Columns that are there."""
        return self.carried.shape[1]

    @property
    def pairs(self) -> tuple["Columns", "Columns"]:
        """First and second columns; where the number is odd, the last second one is empty."""
        odd = self.count % 2
        carried, gained, entries = (
            torch.cat([part, torch.full_like(part[:, :odd], -1)], 1)
            for part in (self.carried, self.gained, self.entries)
        )
        first = Columns(carried[:, ::2], gained[:, ::2], entries[:, ::2])
        second = Columns(carried[:, 1::2], gained[:, 1::2], entries[:, 1::2])
        return first, second

    def where_there(self, others: "Columns") -> "Columns":
        """The columns; the others where they are empty."""
        there = self.carried >= 0
        return Columns(
            carried=torch.where(there, self.carried, others.carried),
            gained=torch.where(there, self.gained, others.gained),
            entries=torch.where(there.unsqueeze(2), self.entries, others.entries),
        )


def largest(values: Float[Tensor, "n size"], windows: Windows) -> Float[Tensor, "n m"]:
    """The largest value of each window."""
    return _seen(values, windows).amax(2)


def rivals(
    low: Float[Tensor, "n size"], high: Float[Tensor, "n size"], windows: Windows
) -> Int[Tensor, "n m"]:
    """How many entries of each window may be its largest, or tie with one, between these bounds."""
    best = largest(low, windows).unsqueeze(2)
    return (~(_seen(high, windows) < best)).sum(2)


def _seen(values: Tensor, windows: Tensor) -> Tensor:
    seen = values[:, windows.clamp_min(0)]
    return seen.masked_fill(windows < 0, -torch.inf)
