"""Parts of vectors: taken from them, and put together to whole ones; each the other's gradient.

Entries come in runs, of the channels at one position: a run is copied as one. torch's own gradient
of a selection adds entry by entry, which is many times slower.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

Part = slice | Int[Tensor, " _"]
"""entries of a vector: a range, or their numbers, which may repeat in a source"""


@dataclass(frozen=True, eq=False)
class Selection:
    """Entries of vectors of some size, in runs of `width` entries that begin at its multiples."""

    size: int
    width: int
    runs: Int[Tensor, " _"]

    @cached_property
    def entries(self) -> Int[Tensor, " k"]:
        inside = torch.arange(self.width, device=self.runs.device)
        return (self.runs.unsqueeze(1) * self.width + inside).flatten()

    @cached_property
    def range(self) -> slice | None:
        """The entries, where each follows the one before."""
        if bool((self.runs[1:] - self.runs[:-1] != 1).any()):
            return None
        return slice(int(self.runs[0]) * self.width, (int(self.runs[-1]) + 1) * self.width)

    @cached_property
    def distinct(self) -> bool:
        """Whether no entry is named twice."""
        return len(self.runs.unique()) == len(self.runs)

    @cached_property
    def inverse(self) -> Int[Tensor, " _"] | None:
        """Which run each is, where every entry is named once."""
        every = self.distinct and len(self.runs) * self.width == self.size
        return self.runs.argsort() if every else None

    def taken(self, g: Float[Tensor, "m size"]) -> Float[Tensor, "m k"]:
        """The entries. Differentiable."""
        found: Tensor = g[:, self.range] if self.range else _Taken.apply(g, self)
        return found

    def placed(self, r: Float[Tensor, "m k"]) -> Float[Tensor, "m size"]:
        """The vectors with these entries, added up where one is named twice. Differentiable."""
        found: Tensor = r if self.range == slice(0, self.size) else _Placed.apply(r, self)
        return found

    def _chosen(self, g: Tensor, runs: Tensor) -> Tensor:
        table: Tensor = g.unflatten(1, (-1, self.width))
        return table.index_select(1, runs).flatten(1)

    def _sums(self, r: Tensor) -> Tensor:
        values = r.reshape(len(r), -1, self.width)
        total = r.new_zeros(len(r), self.size // self.width, self.width)
        if self.distinct:
            return total.index_copy_(1, self.runs, values).flatten(1)
        # twice as fast as index_add, for many rows
        index = self.runs.view(1, -1, 1).expand_as(values)
        return total.scatter_add_(1, index, values).flatten(1)


class _Taken(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, selection: Selection) -> Tensor:
        ctx.selection = selection
        return selection._chosen(g, selection.runs)

    @staticmethod
    def backward(ctx: Any, r: Tensor) -> tuple[Tensor, None]:
        return _Placed.apply(r, ctx.selection), None


class _Placed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, r: Tensor, selection: Selection) -> Tensor:
        ctx.selection = selection
        if selection.inverse is not None:
            return selection._chosen(r, selection.inverse)
        return selection._sums(r)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return _Taken.apply(g, ctx.selection), None


def selection_of(part: Part, size: int, device: torch.device) -> Selection:
    """The entries of a part of vectors of that size, in runs as long as can be."""
    every = torch.arange(size, device=device)
    entries = every[part] if isinstance(part, slice) else part
    breaks = ((entries[1:] - entries[:-1]) != 1).nonzero().squeeze(1) + 1
    starts = [0, *breaks.tolist()]
    width = math.gcd(size, len(entries), *starts, *entries[starts].tolist())
    return Selection(size, width, entries[::width] // width)


class Parts:
    """What the terms of a sum take from vectors of some size, or give to them.

    Terms with equal parts share it. Those that have no entry in common are put together as one.
    """

    def __init__(self, parts: Sequence[Part], size: int, device: torch.device) -> None:
        self.selections: list[Selection] = []
        self.term: list[int] = []  # whose selection each term's is
        self.together: list[tuple[list[int], Selection]] = []
        for part in parts:
            found = selection_of(part, size, device)
            equal = [i for i, one in enumerate(self.selections) if _equal(one, found)]
            self.term.append(equal[0] if equal else len(self.selections))
            if not equal:
                self._join(len(self.selections), found)
                self.selections.append(found)

    def _join(self, number: int, selection: Selection) -> None:
        """Puts a selection together with the first others that it has no entry in common with."""
        for i, (members, others) in enumerate(self.together):
            entries = torch.cat([others.entries, selection.entries])
            if len(entries.unique()) == len(entries):
                both = selection_of(entries, selection.size, entries.device)
                self.together[i] = ([*members, number], both)
                return
        self.together.append(([number], selection))

    def taken(self, g: Float[Tensor, "m size"]) -> list[Float[Tensor, "m _"]]:
        """The part of each term."""
        parts = [selection.taken(g) for selection in self.selections]
        return [parts[i] for i in self.term]

    def total(self, values: Sequence[Float[Tensor, "m _"]]) -> Float[Tensor, "m size"]:
        """The sum of the terms' values, each on its part."""
        sums: dict[int, Tensor] = {}
        for i, value in zip(self.term, values, strict=True):
            sums[i] = sums[i] + value if i in sums else value
        placed = [
            selection.placed(_side_by_side([sums[i] for i in members]))
            for members, selection in self.together
        ]
        return functools.reduce(torch.add, placed)


def _side_by_side(values: Sequence[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.cat(list(values), dim=1)


def _equal(one: Selection, other: Selection) -> bool:
    return one.width == other.width and torch.equal(one.runs, other.runs)
