"""A graph of affine maps, ReLUs and poolings as a chain of layers.

A value is an affine function of the state behind some layer. It becomes units of the next layer
where a ReLU takes it; where another map does, or a later layer, it is carried on by units with
leak 1. max(a, b) = b + relu(a - b), so a maximum of k entries is a tree of k - 1 such pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Int
from torch import Tensor

from relu.network.blocks import AffineMap, Blocks, Scale, Term
from relu.network.layers import Conv, Dense, Layer, Shape
from relu.network.maxima import Columns, Maxima, Windows
from relu.network.selection import Part
from relu.network.value import JOINED, Value, cancels, entries_taken, rescaled, shifted


@dataclass(eq=False)
class _Units:
    """The units of a layer as they come in."""

    terms: list[tuple[Part, AffineMap | None, Part]] = field(default_factory=list)
    leaks: list[tuple[float, int]] = field(default_factory=list)
    maxima: list[Maxima] = field(default_factory=list)
    size: int = 0


class LayerBuilder:
    """Layers, for values that are asked for.

    shape, size: of the inputs. like: a tensor of the network's precision.
    """

    def __init__(self, shape: Shape, like: Tensor) -> None:
        self.like = like
        self.shape = shape
        size = int(torch.Size(shape).numel())
        self.size = size
        self.layers: list[_Units] = []
        self.known: dict[tuple[int, float], Value] = {}
        self.kept: list[Value] = []  # what `known` and `windows` name by ids
        self.windows: dict[int, tuple[int, Windows]] = {}  # of terms that are maxima of entries
        self.input = Value(0, ((slice(0, size), None, slice(0, size)),), size, shape)

    def activated(self, value: Value, leak: float) -> Value:
        """A unit of the next layer for each entry."""
        key = (id(value), leak)
        if key not in self.known:
            self.kept.append(value)
            start = self._units(value.level, value.terms, value.size, leak)
            if id(value.terms) in self.windows:
                units = slice(start, start + value.size)
                self._are_maxima(value.level, units, *self.windows[id(value.terms)])
            source = slice(start, start + value.size)
            term = (source, None, slice(0, value.size))
            level = value.level + 1
            self.known[key] = replace(value, level=level, terms=(term,), joined=0)
        return self.known[key]

    def _units(
        self,
        level: int,
        terms: Sequence[tuple[Part, AffineMap | None, Part]],
        size: int,
        leak: float,
    ) -> int:
        """Units of the layer on the state behind `level` layers; where they start."""
        while len(self.layers) <= level:
            self.layers.append(_Units())
        units = self.layers[level]
        start = units.size
        units.terms += [(source, m, shifted(target, start)) for source, m, target in terms]
        units.leaks.append((leak, size))
        units.size += size
        return start

    def _are_maxima(
        self, layer: int, units: slice, level: int, plus: Windows, minus: Windows | None = None
    ) -> None:
        """Notes what units are, where that is more than one entry or the difference of two."""
        if plus.shape[1] > 1 or minus is not None:
            device = self.like.device
            minus = None if minus is None else minus.to(device)
            self.layers[layer].maxima.append(Maxima(units, level, plus.to(device), minus))

    def at_level(self, value: Value, level: int) -> Value:
        """The value, carried on to the state behind `level` layers."""
        while value.level < level:
            value = self.activated(value, 1.0)
        return value

    def plain(self, value: Value) -> Value:
        """The value as entries of a state, one by one: carried on if it is anything more."""
        alone = value.alone
        return value if alone is not None and alone[1] is None else self.activated(value, 1.0)

    def mapped(self, value: Value, affine: AffineMap, shape: Shape) -> Value:
        """A map of the value."""
        value = self.plain(value)
        source = value.terms[0][0]
        term = (source, affine, slice(0, affine.size))
        return Value(value.level, (term,), affine.size, shape)

    def scaled(
        self,
        value: Value,
        weight: Tensor,
        bias: Tensor,
        *,
        by_channel: bool,
        normalises: bool = False,
    ) -> Value:
        """Weight * value + bias, entry by entry; joined with the map before, if it is only one.

        Not where rounding of the joined bias may be more than what bounds of sums leave room for
        (relu/rounding.py). by_channel: whether the same numbers stand at all positions of an
        image. normalises: batch norm is joined wherever it can be, as the network that is judged
        is the one with it folded.
        """
        alone = value.alone
        joinable = alone is not None and (by_channel or isinstance(alone[1], Dense | Scale | None))
        if joinable and not normalises and alone is not None and alone[1] is not None:
            joinable = value.joined < JOINED and not cancels(alone[1], weight, bias)
        if not joinable:
            value = self.activated(value, 1.0)
        source, affine, target = value.terms[0]
        term = (source, rescaled(affine, weight, bias), target)
        return replace(value, terms=(term,), joined=value.joined + 1)

    def total(self, values: Sequence[Value]) -> Value:
        """The sum of values of one shape."""
        level = max(value.level for value in values)
        carried = [self.at_level(value, level) for value in values]
        return replace(carried[0], terms=tuple(term for value in carried for term in value.terms))

    def joined(self, values: Sequence[Value], targets: Sequence[Part], shape: Shape) -> Value:
        """Values side by side, each with the entries that it becomes."""
        entries = [self.plain(value) for value in values]
        level = max(value.level for value in entries)
        sources = [self.at_level(value, level).terms[0][0] for value in entries]
        terms = tuple((s, None, target) for s, target in zip(sources, targets, strict=True))
        return Value(level, terms, sum(value.size for value in values), shape)

    def maximum(self, value: Value, windows: Int[Tensor, "w k"], shape: Shape) -> Value:
        """The largest entry of each window; -1: there is none there."""
        value = self.plain(value)
        device = self.like.device
        entries = torch.arange(self.layers[value.level - 1].size if value.level else self.size)
        source = value.terms[0][0]
        base = entries[source if isinstance(source, slice) else source.cpu()]
        columns = Columns.of(torch.where(windows >= 0, base[windows.clamp_min(0)], -1))
        level = value.level
        while columns.count > 1:
            columns = self._halved(level, columns, value.level)
            level += 1
        terms = entries_taken(columns.carried[:, 0], device, None)
        terms += entries_taken(columns.gained[:, 0], device, None)
        largest = Value(level, tuple(terms), len(windows), shape)
        self.kept.append(largest)
        self.windows[id(largest.terms)] = (value.level, columns.entries[:, 0])
        return largest

    def _halved(self, level: int, columns: Columns, start_level: int) -> Columns:
        """One round of pairs (a, b): units relu(a - b), and b carried on.

        start_level: behind how many layers the entries of the windows are.
        """
        a, b = columns.pairs
        pairs = b.carried >= 0
        device = self.like.device
        minus = -torch.ones((), dtype=self.like.dtype, device=device)
        differences = [
            *entries_taken(a.carried[pairs], device, None),
            *entries_taken(a.gained[pairs], device, None),
            *entries_taken(b.carried[pairs], device, minus),
            *entries_taken(b.gained[pairs], device, minus),
        ]
        count = int(pairs.sum())
        start = self._units(level, differences, count, 0.0)
        units = slice(start, start + count)
        self._are_maxima(level, units, start_level, a.entries[pairs], b.entries[pairs])
        gained = torch.full_like(a.carried, -1)
        gained[pairs] = start + torch.arange(count)
        left = a.carried >= 0
        ends = b.where_there(a)
        ends_terms = [
            *entries_taken(ends.carried[left], device, None),
            *entries_taken(ends.gained[left], device, None),
        ]
        count = int(left.sum())
        start = self._units(level, ends_terms, count, 1.0)
        self._are_maxima(level, slice(start, start + count), start_level, ends.entries[left])
        carried = torch.full_like(a.carried, -1)
        carried[left] = start + torch.arange(count)
        return Columns(carried, gained, torch.cat([a.entries, b.entries], 2))

    def finished(self, logits: Value) -> tuple[Layer, ...]:
        """All layers, the last of which gives these logits; what they do not need is left out."""
        del self.layers[logits.level :]
        self._units(logits.level, logits.terms, logits.size, 0.0)
        assert len(self.layers) == logits.level + 1
        sizes = [self.size, *(units.size for units in self.layers)]
        return tuple(
            self._layer(units, size, first=i == 0)
            for i, (units, size) in enumerate(zip(self.layers, sizes, strict=False))
        )

    def _layer(self, units: _Units, inputs: int, *, first: bool) -> Layer:
        shape = self.shape if first and len(self.shape) == 3 else None
        leak = None
        if any(value for value, _ in units.leaks):
            leak = torch.cat([self.like.new_full((size,), value) for value, size in units.leaks])
        source, affine, target = units.terms[0]
        whole = len(units.terms) == 1 and target == slice(0, units.size)
        whole = whole and source == slice(0, inputs)
        if whole and isinstance(affine, Dense | Conv) and (affine.shape == shape or not first):
            return replace(affine, leak=leak)
        terms = [
            Term(source, affine or self._identity(target), target)
            for source, affine, target in units.terms
        ]
        return Blocks(terms, inputs, units.size, leak, shape, tuple(units.maxima))

    def _identity(self, target: Part) -> Scale:
        size = target.stop - target.start if isinstance(target, slice) else len(target)
        return Scale(self.like.new_ones(size), self.like.new_zeros(size))
