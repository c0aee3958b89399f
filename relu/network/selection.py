"""Parts of vectors: taken from them, and put together to whole ones; each the other's gradient.

Entries come in runs, of the channels at one position: a run is copied as one. torch's own gradient
of a selection adds entry by entry, which is many times slower.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

Part = slice | Int[Tensor, " _"]
"""entries of a vector: a range, or their numbers, which may repeat in a source"""


@dataclass(frozen=True, eq=False)
class Selection:
    """Entries of vectors of some size, in runs of `width` entries that begin at its multiples.

    distinct: whether none is named twice.
    """

    size: int
    width: int
    runs: Int[Tensor, " _"]
    distinct: bool

    def taken(self, g: Float[Tensor, "m size"]) -> Float[Tensor, "m k"]:
        return g.unflatten(1, (-1, self.width)).index_select(1, self.runs).flatten(1)

    def add(self, total: Float[Tensor, "m size"], r: Float[Tensor, "m k"]) -> None:
        """Adds r to these entries, or sets them where none is there twice and all are 0 so far."""
        table = total.view(len(total), -1, self.width)
        values = r.reshape(len(r), -1, self.width)
        if self.distinct:
            table.index_copy_(1, self.runs, values)
        else:
            index = self.runs.view(1, -1, 1).expand_as(values)
            table.scatter_add_(1, index, values)  # twice as fast as index_add, for many rows


def selection_of(part: Part, size: int, device: torch.device) -> Selection:
    """The entries of a part of vectors of that size."""
    every = torch.arange(size, device=device)
    numbers = every[part] if isinstance(part, slice) else part
    starts = [0, *(((numbers[1:] - numbers[:-1]) != 1).nonzero().squeeze(1) + 1).tolist()]
    values = numbers[starts].tolist()
    width = math.gcd(size, len(numbers), *starts, *values)
    runs = numbers[::width] // width
    return Selection(size, width, runs, len(runs.unique()) == len(runs))


class Parts:
    """What the terms of a sum take from vectors of some size, or give to them.

    Terms with equal parts share it, and those of `sets` have no entry in common.
    """

    def __init__(self, parts: Sequence[Part], size: int, device: torch.device) -> None:
        self.size = size
        self.selections: list[Selection] = []
        self.term: list[int] = []  # whose selection each term's is
        self.sets: list[list[int]] = []
        for part in parts:
            found = selection_of(part, size, device)
            equal = [i for i, one in enumerate(self.selections) if _equal(one, found)]
            self.term.append(equal[0] if equal else len(self.selections))
            if not equal:
                self._join(found)

    def _join(self, selection: Selection) -> None:
        """A selection that is new, with the first set that it fits in."""
        number = len(self.selections)
        self.selections.append(selection)
        for members in self.sets:
            together = [_entries(self.selections[i]) for i in (*members, number)]
            entries = torch.cat(together)
            if len(entries.unique()) == len(entries):
                members.append(number)
                return
        self.sets.append([number])

    def taken(self, g: Float[Tensor, "m size"]) -> list[Float[Tensor, "m _"]]:
        """The part of each term."""
        parts = [_Taken.apply(selection, g) for selection in self.selections]
        return [parts[i] for i in self.term]

    def total(self, values: Sequence[Float[Tensor, "m _"]]) -> Float[Tensor, "m size"]:
        """The sum of the terms' values, each on its part."""
        sums: list[Tensor | None] = [None] * len(self.selections)
        for i, value in zip(self.term, values, strict=True):
            before = sums[i]
            sums[i] = value if before is None else before + value
        total: Tensor | None = None
        for members in self.sets:
            some = [sums[i] for i in members]
            placed: Tensor = _Placed.apply([self.selections[i] for i in members], *some)
            total = placed if total is None else total + placed
        assert total is not None
        return total


def _entries(selection: Selection) -> Tensor:
    inside = torch.arange(selection.width, device=selection.runs.device)
    return (selection.runs.unsqueeze(1) * selection.width + inside).flatten()


def _equal(one: Selection, other: Selection) -> bool:
    return one.width == other.width and torch.equal(one.runs, other.runs)


class _Taken(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, selection: Selection, g: Tensor) -> Tensor:
        ctx.selection = selection
        return selection.taken(g)

    @staticmethod
    def backward(ctx: Any, r: Tensor) -> tuple[None, Tensor]:
        return None, _Placed.apply([ctx.selection], r)


class _Placed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, selections: Sequence[Selection], *values: Tensor) -> Tensor:
        ctx.selections = selections
        shape = (len(values[0]), selections[0].size)
        every = all(one.distinct for one in selections)
        every = every and sum(len(one.runs) * one.width for one in selections) == shape[1]
        total = values[0].new_empty(shape) if every else values[0].new_zeros(shape)
        for selection, value in zip(selections, values, strict=True):
            selection.add(total, value)
        return total

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return None, *(_Taken.apply(selection, g) for selection in ctx.selections)
