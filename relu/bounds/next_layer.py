"""Bounds of the next layer's pre-activations, from the lines of all layers below.

A hidden unit's bounds are computed in full only where interval arithmetic through the same lines
leaves open whether it may switch. The full bounds would never be weaker than these intervals, so
units that are settled by them are settled by the full bounds, too: the network's relaxation, and
with it the bound of the margins, is the one that computing every unit in full would give.
(By induction over the layers: the full bound of a sum of forms is at least the sum of theirs.)
Maxima that a pooling takes have bounds from their entries', too (relu/bounds/maxima.py).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from relu.bounds.backward import some_rows
from relu.bounds.backward_conv import all_windows, some_windows
from relu.bounds.ball import Perturbations
from relu.bounds.maxima import many_rivals, maxima_of, narrowed
from relu.bounds.relaxed_network import HiddenBounds, RelaxedNetwork, least_output, with_rounding
from relu.network.activation import activated, crossing
from relu.network.layers import Conv, Layer
from relu.regions.jacobian import first_norms
from relu.rounding import UNDERFLOW

EXCESS = 0.5  # of a maximum's bounds, from which on its upper line is level
FEW = 0.25  # share of a convolution's units up to which they are computed one by one


def next_bounds(below: RelaxedNetwork, z: Tensor, error: Tensor, every: bool) -> HiddenBounds:
    """Bounds of the next layer, whose reference is z; with gradients for those that may switch.

    The first layer's are exact. Of others, intervals come first, and then bounds of all units
    (every), or of those that may switch: all units of a convolution at once where they are many,
    else one by one. Maxima of many entries are computed in full, too: where these bounds are wider
    than the entries' are, their upper lines are level (not with gradients, which entries lack).
    """
    layer = below.next
    if not below.lines and below.ball.deltas.symmetric:
        return _first_bounds(below, layer, z, error)
    with torch.no_grad():
        low, high = _intervals(below, z)
        low, high = narrowed(below.layers, below.bounds, below.ball, low, high, below.unit)
        low = low - error
        high = high + error
        every_unit = torch.ones_like(low, dtype=torch.bool)
        wanted = every_unit if every else crossing(low, high, layer.leak)
    with_gradients = z.requires_grad and torch.is_grad_enabled()
    rivals = None if with_gradients else many_rivals(below.layers, below.bounds, below.ball)
    wanted = wanted if rivals is None else wanted | rivals
    all_at_once = _only_convolutions(below) and int(wanted.sum()) > FEW * wanted.numel()
    bounds = _Rough(below, z, error, low, high, rivals)
    if all_at_once:
        return bounds.with_all_units(wanted, with_gradients)
    found = bounds.with_some_units(wanted)
    return (
        replace(bounds, low=found.low, high=found.high).with_gradients()
        if with_gradients
        else found
    )


def _first_bounds(below: RelaxedNetwork, layer: Layer, z: Tensor, error: Tensor) -> HiddenBounds:
    """Of the first layer, whose units fall as far as they rise."""
    falls = with_rounding(_first_falls(layer, below.ball.deltas), below.unit) + error
    return HiddenBounds(z - falls, z + falls)


@dataclass(frozen=True, eq=False)
class _Rough:
    """Bounds of the next layer that are to be improved.

    z: its reference; error: of z; rivals: maxima of many entries.
    """

    below: RelaxedNetwork
    z: Tensor
    error: Tensor
    low: Tensor
    high: Tensor
    rivals: Tensor | None

    def with_all_units(self, wanted: Tensor, with_gradients: bool) -> HiddenBounds:
        """The layer is a convolution: all its units are computed, the wanted ones are taken."""
        with torch.set_grad_enabled(with_gradients):
            return self._taken(wanted, *_all_units(self.below))

    @torch.no_grad()
    def with_some_units(self, wanted: Tensor) -> HiddenBounds:
        """The wanted units are computed one by one."""
        return self._taken(wanted, *_wanted_units(self.below, wanted))

    def _taken(self, wanted: Tensor, falls: Tensor, rises: Tensor) -> HiddenBounds:
        z = self.z
        error = self.error
        unit = self.below.unit
        low = z - with_rounding(falls, unit) - error
        high = z + with_rounding(rises, unit) + error
        level = None if self.rivals is None else self.rivals & (self._excess(high) > EXCESS)
        if maxima_of(self.below.next):  # of others, full bounds are never weaker
            low = torch.where(self.low > low, self.low, low)
            high = torch.where(self.high < high, self.high, high)
        low = torch.where(wanted, low, self.low)
        high = torch.where(wanted, high, self.high)
        if level is not None:
            level = level & ~crossing(low, high, self.below.next.leak)
        return HiddenBounds(low, high, level)

    def _excess(self, high: Tensor) -> Tensor:
        """By how much full upper bounds exceed the entries', in parts of what these leave open."""
        return (high - self.high) / (self.high - self.low).clamp_min(UNDERFLOW)

    def with_gradients(self) -> HiddenBounds:
        """Those of units that may still switch, once more and differentiably."""
        leak = self.below.next.leak
        places = crossing(self.low, self.high, leak).nonzero().unbind(1)
        z = self.z
        error = self.error
        unit = self.below.unit
        falls, rises = _some_units(self.below, *places)
        low = self.low.index_put(places, (z - error)[places] - with_rounding(falls, unit))
        high = self.high.index_put(places, (z + error)[places] + with_rounding(rises, unit))
        return HiddenBounds(low, high)


def _first_falls(layer: Layer, deltas: Perturbations) -> Tensor:
    """How far the first layer's units fall, where they rise as far."""
    if deltas.even:
        return first_norms(layer, deltas.norm.q) * deltas.eps.unsqueeze(1)
    return layer.absolute().linear(deltas.up)


def _intervals(below: RelaxedNetwork, z: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of the next layer by interval arithmetic through the lines; cheap."""
    layer = below.next
    if not below.lines:
        falls = first_norms(layer, below.ball.deltas.norm.q) * below.ball.deltas.eps.unsqueeze(1)
        return z - falls, z + falls
    last = below.layers[len(below.lines) - 1]
    least = least_output(last, below.low[-1], below.lines[-1], below.level[-1])
    most = activated(last, below.high[-1])
    middle = layer.forward((least + most) / 2)
    radius = layer.absolute().linear((most - least) / 2)
    return middle - radius, middle + radius


def _all_units(below: RelaxedNetwork) -> tuple[Tensor, Tensor]:
    """Falls and rises of all units of the next layer, a convolution."""
    return all_windows(below.layers, below.lines, below.ball.deltas, len(below.lines))


def _wanted_units(below: RelaxedNetwork, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Falls and rises of the wanted units of the next layer; zeros for the others."""
    which, unit = wanted.nonzero().unbind(1)
    table = below.ball.center.new_zeros(wanted.shape)
    places = (which, unit)
    falls, rises = _some_units(below, which, unit)
    return table.index_put(places, falls), table.index_put(places, rises)


def _some_units(below: RelaxedNetwork, which: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
    top = len(below.lines)
    units = some_windows if _only_convolutions(below) else some_rows
    return units(below.layers, below.lines, below.ball.deltas, top, which, unit)


def _only_convolutions(below: RelaxedNetwork) -> bool:
    """Whether the next layer, like all below it, sees windows."""
    return all(isinstance(layer, Conv) for layer in below.layers[: len(below.lines) + 1])
