"""Colours of pixels: of one, no unit sees two, so that they can share a column [CPR74].

A unit sees a rectangle of pixels. Let the colour of a pixel be its channel, its row modulo H and
its column modulo W, where no rectangle is higher than H or wider than W. Of the pixels of one
colour a unit sees at most one: so V S, where S adds up the columns of each colour, has the entries
of V's rows, at most H W times channels of them instead of d, and rows of the same norms. As units
see more from layer to layer, S becomes finer on the way: an entry of V S then moves to the column
of its pixel's new colour, which the unit's rectangle tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.network.layers import Layer

Period = tuple[int, int]
"""rows and columns after which colours come again"""


@dataclass(frozen=True, eq=False)
class Sights:
    """The rectangles of pixels that units may see: where they begin and end, 0 <= top <= bottom.

    Of what sees nothing, bottom = top - 1, and likewise the columns.
    """

    top: Int[Tensor, " size"]
    bottom: Int[Tensor, " size"]
    left: Int[Tensor, " size"]
    right: Int[Tensor, " size"]

    @property
    def period(self) -> Period:
        """The largest height and width."""
        return int((self.bottom - self.top).max()) + 1, int((self.right - self.left).max()) + 1


@dataclass(frozen=True, eq=False)
class Refinement:
    """What becomes of an entry (colour, unit) where colours become finer, and the inverse of it.

    entries: which one each of the finer ones is. missing: where it is none, but 0. origins,
    unmoved: likewise, the other way.
    """

    entries: Int[Tensor, "finer size"]
    missing: Bool[Tensor, "finer size"]
    origins: Int[Tensor, "colours size"]
    unmoved: Bool[Tensor, "colours size"]

    def applied(self, columns: Float[Tensor, "n colours size"]) -> Float[Tensor, "n finer size"]:
        found: Tensor = _Moved.apply(
            columns, self.entries, self.missing, self.origins, self.unmoved
        )
        return found


class _Moved(torch.autograd.Function):
    """Entries at their new places; the gradient is moved back (torch's own adds one by one)."""

    @staticmethod
    def forward(
        ctx: Any,
        columns: Tensor,
        entries: Tensor,
        missing: Tensor,
        origins: Tensor,
        unmoved: Tensor,
    ) -> Tensor:
        ctx.way_back = origins, unmoved, entries, missing
        taken = columns.flatten(1).index_select(1, entries.flatten())
        table: Tensor = taken.unflatten(1, entries.shape)
        return table.masked_fill_(missing, 0.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        return _Moved.apply(gradient, *ctx.way_back), None, None, None, None


@dataclass(frozen=True, eq=False)
class Compression:
    """The colours of the pixels at each layer.

    seeds: S before the first layer, a colour for each channel. refinements: of the columns of each
    layer's inputs; None: the colours stay. colours: how many there are, layer by layer.
    """

    seeds: Float[Tensor, "1 channels d"]
    refinements: Sequence[Refinement | None]
    colours: Sequence[int]

    def only(self, count: int) -> "Compression":
        """That of the first layers alone."""
        return Compression(self.seeds, self.refinements[:count], self.colours[:count])


_KNOWN: WeakKeyDictionary[Layer, tuple[list[ReferenceType[Layer]], Compression]] = (
    WeakKeyDictionary()
)
"""by the last layer, with all of them: a search asks again and again"""


def compression_of(layers: Sequence[Layer], d: int) -> Compression:
    """The colours of the d pixels, at each of these layers."""
    before, known = _KNOWN.get(layers[-1], ([], None))
    if known is not None and [found() for found in before] == list(layers):
        return known
    known = _compression(layers, d)
    _KNOWN[layers[-1]] = ([ref(layer) for layer in layers], known)
    return known


@torch.no_grad()
def _compression(layers: Sequence[Layer], d: int) -> Compression:
    channels, height, width = _image(layers, d)
    like = layers[0].like
    numbers = torch.arange(d, device=like.device)
    seeds = torch.arange(channels, device=like.device).unsqueeze(1) == numbers % channels
    rows = torch.arange(height, device=like.device).unsqueeze(1) == numbers // channels // width
    columns = torch.arange(width, device=like.device).unsqueeze(1) == numbers // channels % width
    seen = torch.cat([rows, columns]).to(like.dtype)
    below = _sights(seen, height)
    period = (1, 1)
    refinements: list[Refinement | None] = []
    colours = []
    for layer in layers:
        seen = layer.mapped(torch.ones_like, torch.zeros_like).linear(seen)
        seen = (seen > 0.5).to(like.dtype)
        above = _sights(seen, height)
        rows_needed, columns_needed = above.period
        finer = (max(period[0], rows_needed), max(period[1], columns_needed))
        refinements.append(_refinement(below, period, finer, channels) if finer != period else None)
        colours.append(finer[0] * finer[1] * channels)
        below = above
        period = finer
    return Compression(seeds.unsqueeze(0).to(like.dtype), refinements, colours)


def _image(layers: Sequence[Layer], d: int) -> tuple[int, ...]:
    """Channels, height and width of the input; of a vector, each entry is a channel."""
    return layers[0].shape or (d, 1, 1)


def _sights(seen: Float[Tensor, "height_width size"], height: int) -> Sights:
    """From whether each unit sees something of each row, and of each column, of pixels: 1 or 0."""
    ends = []
    for lines in (seen[:height], seen[height:]):
        first = lines.argmax(0)
        last = len(lines) - 1 - lines.flip(0).argmax(0)
        ends += [first, torch.where(lines.amax(0) > 0, last, first - 1)]
    return Sights(*ends)


def _refinement(below: Sights, period: Period, finer: Period, channels: int) -> Refinement:
    """From one period to a finer one, for what the units below see."""
    size = len(below.top)
    row, row_there = _pixels(below.top, below.bottom, finer[0])
    column, column_there = _pixels(below.left, below.right, finer[1])
    residue = (row % period[0]).unsqueeze(1) * period[1] + (column % period[1]).unsqueeze(0)
    channel = torch.arange(channels, device=row.device).view(1, 1, channels, 1)
    colour = residue.unsqueeze(2) * channels + channel
    there = (row_there.unsqueeze(1) & column_there.unsqueeze(0)).unsqueeze(2).expand(colour.shape)
    entries = colour * size + torch.arange(size, device=row.device)
    entries = entries.masked_fill_(~there, 0).flatten(0, 2).int()
    there = there.flatten(0, 2)
    origins = entries.new_zeros(period[0] * period[1] * channels * size)
    unmoved = torch.ones_like(origins, dtype=torch.bool)
    origins[entries[there]] = there.flatten().nonzero().squeeze(1).int()
    unmoved[entries[there]] = False
    return Refinement(entries, ~there, origins.view(-1, size), unmoved.view(-1, size))


def _pixels(first: Tensor, last: Tensor, period: int) -> tuple[Tensor, Tensor]:
    """The row (or column) from `first` on with each remainder, and whether it is not too late."""
    remainder = torch.arange(period, device=first.device).unsqueeze(1)
    pixel = first + (remainder - first) % period
    return pixel, pixel <= last
