"""Bounds of a ReLU network over a ball, by backward linear relaxation.

Every ReLU is replaced by two lines (relu/bounds/relaxation.py). A linear form of a layer's outputs
then has a bound that is linear in the layer below, and so on down to the input, where the ball says
what is left to lose (relu/bounds/backward.py).

A hidden unit's bounds are computed in full only where interval arithmetic through the same lines
leaves open whether it may switch. The full bounds would never be weaker than these intervals, so
units that are settled by them are settled by the full bounds, too: the network's relaxation, and
with it the bound of the margins, is the one that computing every unit in full would give.
(By induction over the layers: the full bound of a sum of forms is at least the sum of theirs.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.batching import at_once, groups
from relu.bounds.backward import fall, some_rows, steps_below
from relu.bounds.backward_conv import all_windows, some_windows
from relu.bounds.ball import Ball, Perturbations
from relu.bounds.random_projection import ESTIMATES, RandomProjections, projected_falls
from relu.bounds.relaxation import LinearRelaxation, Relaxation, crossing, lines_of
from relu.classes import gaps, others
from relu.network.activation import activated
from relu.network.layers import Conv, Layer
from relu.regions.jacobian import first_norms, logit_rows
from relu.rounding import UNDERFLOW, gamma

FEW = 0.25  # share of a convolution's units up to which they are computed one by one


Bounds = Sequence[tuple[Tensor, Tensor]]
"""lower and upper bounds of the pre-activations of each hidden layer"""


@dataclass(frozen=True, eq=False)
class RelaxedNetwork:
    """Networks relaxed over balls: bounds of each hidden layer's pre-activations, and their lines.

    reference: pre-activations where the ball's center goes through the middles of the lines, up
    to the logits. unit: the relative rounding error of sums (0 in float32, where nothing is
    proven). rounding: how far logits may be off.
    """

    layers: Sequence[Layer]
    ball: Ball
    unit: float
    low: tuple[Float[Tensor, "n _"], ...]
    high: tuple[Float[Tensor, "n _"], ...]
    lines: tuple[LinearRelaxation, ...]
    reference: tuple[Float[Tensor, "n _"], ...]
    rounding: Float[Tensor, "n k"]

    @property
    def bounds(self) -> Bounds:
        return list(zip(self.low, self.high, strict=True))

    @property
    def next(self) -> Layer:
        """The first layer without bounds."""
        return self.layers[len(self.lines)]

    def at(self, which: Int[Tensor, " m"] | slice) -> "RelaxedNetwork":
        """That of some of the inputs."""

        def taken(values: Tensor) -> Tensor:
            return values[which]

        return replace(
            self,
            ball=Ball(taken(self.ball.center), self.ball.deltas.at(which)),
            low=tuple(map(taken, self.low)),
            high=tuple(map(taken, self.high)),
            lines=tuple(lines.mapped(taken) for lines in self.lines),
            reference=tuple(map(taken, self.reference)),
            rounding=taken(self.rounding),
        )


def relax(
    layers: Sequence[Layer],
    ball: Ball,
    relaxation: Relaxation,
    *,
    every: bool = False,
    known: Bounds | None = None,
    estimates: RandomProjections | None = None,
) -> RelaxedNetwork:
    """The relaxation of the network over the balls. Differentiable in the parameters.

    every: bounds of every unit in full, also of those that cannot switch. known: bounds of all
    hidden layers, taken as they are. estimates: estimates of wide layers in place of bounds, with
    parallel lines and in float32; they prove nothing.

    In float64 all bounds are moved outwards by what rounding may have done to them. With
    s = |W| (the most that |g| can be, plus that of the reference) + |b|, what is computed of a
    unit's reference, or of a row times it, is off by at most gamma s per coefficient: lines are
    that much further apart, and so are bounds. What a sum over units loses is increased by gamma
    term by term, and what a row loses by gamma as a whole. Products that underflow lose up to
    UNDERFLOW times all that they can be multiplied by.
    """
    unit = gamma(layers, ball.center.shape[1]) if ball.center.dtype == torch.float64 else 0.0
    found = RelaxedNetwork(layers, ball, unit, (), (), (), (), ball.center[:, :0])
    given = ball.center
    most = ball.center.abs() + ball.deltas.up.maximum(ball.deltas.down)
    total = 1 + most.sum(1, keepdim=True)
    for layer in layers[:-1]:
        error, total = _errors(layer, given, most, total, unit)
        z = layer.forward(given)
        if known is not None:
            low, high = known[len(found.lines)]
        elif estimates is not None and _projectable(found, layer, estimates):
            assert not unit, "estimates must not certify"
            falls = projected_falls(
                layers, found.lines, ball.deltas, len(found.lines), estimates.count
            )
            low = z - falls
            high = z + falls
        else:
            low, high = _bounds(found, z, error, every)
        lines, given = lines_of(z, low, high, relaxation, layer.leak, slack=error, unit=unit)
        most = activated(layer, high).abs().maximum((lines.lower * low).abs())
        found = replace(
            found,
            low=(*found.low, low),
            high=(*found.high, high),
            lines=(*found.lines, lines),
            reference=(*found.reference, z),
        )
    logits = layers[-1].forward(given)
    error, _ = _errors(layers[-1], given, most, total, unit)
    return replace(found, reference=(*found.reference, logits), rounding=error.detach())


def margin_lower_bounds(relaxed: RelaxedNetwork, y: Int[Tensor, " n"]) -> Float[Tensor, "n k1"]:
    """Lower bounds of f_y - f_s over the ball, for all classes s but y in order. Differentiable."""
    rows = logit_rows(relaxed.layers, y)
    top = len(relaxed.layers) - 1
    widest = max(relaxed.ball.center.shape[1], *(layer.size for layer in relaxed.layers))
    falls = [rows.new_zeros(0, rows.shape[1])]
    for part in groups(len(y), at_once(y.device) // (rows.shape[1] * widest)):
        steps = steps_below(relaxed.layers, relaxed.lines, top, part)
        falls.append(fall(rows[part], steps, relaxed.ball.deltas.at(part)))
    error = relaxed.rounding.gather(1, y.unsqueeze(1)) + relaxed.rounding.gather(
        1, others(y, relaxed.rounding.shape[1])
    )
    return gaps(relaxed.reference[-1], y) - _more(torch.cat(falls), relaxed.unit) - error


def _projectable(below: RelaxedNetwork, layer: Layer, estimates: RandomProjections) -> bool:
    """Whether the next layer is wide, and the theory of projections covers it."""
    deltas = below.ball.deltas
    parallel = all(lines.parallel for lines in below.lines)
    covered = (
        parallel and deltas.symmetric and deltas.norm.name in ESTIMATES and len(below.lines) > 0
    )
    return covered and layer.size > estimates.wider_than


def _errors(
    layer: Layer, given: Tensor, most: Tensor, total: Tensor, unit: float
) -> tuple[Tensor, Tensor]:
    """How far what is computed of a layer's units may be off, and the new total.

    size: what the absolute values of all terms of a unit add up to. total: 1 + all sizes so far,
    which is what a coefficient's underflow, anywhere in a backward pass, can be multiplied by.
    0 where nothing is to be proven (unit = 0).
    """
    if not unit:
        return given.new_zeros(len(given), layer.size), total
    size = layer.absolute().forward(most + given.abs())
    total = total + size.sum(1, keepdim=True)
    return unit * size + UNDERFLOW * total, total


def _bounds(below: RelaxedNetwork, z: Tensor, error: Tensor, every: bool) -> tuple[Tensor, Tensor]:
    """Bounds of the next layer, whose reference is z; with gradients for those that may switch.

    The first layer's are exact. Of others, intervals come first, and then bounds of all units
    (every), or of those that may switch: all units of a convolution at once where they are many,
    else one by one.
    """
    layer = below.next
    if not below.lines and below.ball.deltas.symmetric:
        return _first_bounds(below, layer, z, error)
    with torch.no_grad():
        low, high = _intervals(below, z)
        low = low - error
        high = high + error
        every_unit = torch.ones_like(low, dtype=torch.bool)
        wanted = every_unit if every else crossing(low, high, layer.leak)
    with_gradients = z.requires_grad and torch.is_grad_enabled()
    many = _only_convolutions(below) and int(wanted.sum()) > FEW * wanted.numel()
    bounds = _Rough(below, z, error, low, high)
    if many:
        return bounds.with_all_units(wanted, with_gradients)
    bounds = bounds.with_some_units(wanted)
    return bounds.with_gradients() if with_gradients else (bounds.low, bounds.high)


def _first_bounds(
    below: RelaxedNetwork, layer: Layer, z: Tensor, error: Tensor
) -> tuple[Tensor, Tensor]:
    """Of the first layer, whose units fall as far as they rise."""
    falls = _more(_first_falls(layer, below.ball.deltas), below.unit) + error
    return z - falls, z + falls


@dataclass(frozen=True, eq=False)
class _Rough:
    """Bounds of the next layer that are to be improved. z: its reference; error: of z."""

    below: RelaxedNetwork
    z: Tensor
    error: Tensor
    low: Tensor
    high: Tensor

    def with_all_units(self, wanted: Tensor, with_gradients: bool) -> tuple[Tensor, Tensor]:
        """The layer is a convolution: all its units are computed, the wanted ones are taken."""
        with torch.set_grad_enabled(with_gradients):
            improved = self._taken(wanted, *_all_units(self.below))
        return improved.low, improved.high

    @torch.no_grad()
    def with_some_units(self, wanted: Tensor) -> "_Rough":
        """The wanted units are computed one by one."""
        return self._taken(wanted, *_wanted_units(self.below, wanted))

    def _taken(self, wanted: Tensor, falls: Tensor, rises: Tensor) -> "_Rough":
        z = self.z
        error = self.error
        unit = self.below.unit
        low = torch.where(wanted, z - _more(falls, unit) - error, self.low)
        high = torch.where(wanted, z + _more(rises, unit) + error, self.high)
        return replace(self, low=low, high=high)

    def with_gradients(self) -> tuple[Tensor, Tensor]:
        """Those of units that may still switch, once more and differentiably."""
        leak = self.below.next.leak
        places = crossing(self.low, self.high, leak).nonzero().unbind(1)
        z = self.z
        error = self.error
        unit = self.below.unit
        falls, rises = _some_units(self.below, *places)
        low = self.low.index_put(places, (z - error)[places] - _more(falls, unit))
        high = self.high.index_put(places, (z + error)[places] + _more(rises, unit))
        return low, high


def _more(lost: Tensor, unit: float) -> Tensor:
    """What is lost, increased by the relative rounding error of sums."""
    return lost + unit * lost.abs() if unit else lost


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
    least = below.lines[-1].lower * below.low[-1]
    most = activated(below.layers[len(below.lines) - 1], below.high[-1])
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
