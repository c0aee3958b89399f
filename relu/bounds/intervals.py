"""Interval bounds of a ReLU network over a ball [GDSQBUMK18], from the first layer upwards.

Every state is known to lie within r of c, entry by entry. A layer takes that to

    c' = W c + b,    r' = |W| r,

and an activation, which is monotone, to what it gives at c' - r' and c' + r'. Of the first layer,
whose input lies in a ball of the norm, r' is also at most eps ||W_i||_q. Maxima that a pooling
takes have bounds from their entries', too (relu/bounds/maxima.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.bounds.ball import Ball
from relu.bounds.maxima import maxima_of, narrowed
from relu.bounds.relaxed_network import HiddenBounds
from relu.classes import gaps, others
from relu.network.activation import activated
from relu.network.layers import Layer
from relu.regions.jacobian import first_norms, logit_rows
from relu.rounding import UNDERFLOW, gamma


@dataclass(frozen=True, eq=False)
class Intervals:
    """What interval arithmetic says of a network over balls.

    hidden: bounds of each hidden layer's pre-activations. center, radius: of the last layer's
    input. unit: the relative rounding error of sums (0 in float32, where nothing is proven).
    """

    layers: Sequence[Layer]
    hidden: tuple[HiddenBounds, ...]
    center: Float[Tensor, "n size"]
    radius: Float[Tensor, "n size"]
    unit: float

    def margins(self, y: Int[Tensor, " n"]) -> Float[Tensor, "n k1"]:
        """Lower bounds of f_y - f_s, for all classes s but y in order. Differentiable."""
        return self.margin_ranges(y)[0]

    def margin_ranges(
        self, y: Int[Tensor, " n"]
    ) -> tuple[Float[Tensor, "n k1"], Float[Tensor, "n k1"]]:
        """Lower and upper bounds of f_y - f_s.

        The rows W_y - W_s are formed first, which is never weaker than bounds of both logits.
        """
        last = self.layers[-1]
        center = gaps(last.forward(self.center), y)
        radius = (logit_rows(self.layers, y).abs() @ self.radius.unsqueeze(2)).squeeze(2)
        if self.unit:
            size = last.absolute().forward(self.center.abs() + self.radius)
            lost = self.unit * size + UNDERFLOW
            lost = lost.gather(1, y.unsqueeze(1)) + lost.gather(1, others(y, lost.shape[1]))
            radius = radius + lost
        return center - radius, center + radius


def intervals(layers: Sequence[Layer], ball: Ball) -> Intervals:
    """Interval bounds of all hidden layers. Differentiable in the parameters.

    In float64 all are moved outwards by what rounding may have done to them.
    """
    unit = gamma(layers, ball.center.shape[1]) if ball.center.dtype == torch.float64 else 0.0
    found = Intervals(layers, (), *_input(ball), unit)
    for _ in layers[:-1]:
        found = _next(found, ball)
    return found


def _input(ball: Ball) -> tuple[Tensor, Tensor]:
    """Center and radius of the box around the ball."""
    deltas = ball.deltas
    if deltas.symmetric:
        return ball.center, deltas.up
    return ball.center + (deltas.up - deltas.down) / 2, (deltas.up + deltas.down) / 2


def _next(below: Intervals, ball: Ball) -> Intervals:
    """With the bounds of one layer more."""
    layers = below.layers
    layer = layers[len(below.hidden)]
    unit = below.unit
    z = layer.forward(below.center)
    radius = layer.absolute().linear(below.radius)
    if unit:
        size = layer.absolute().forward(below.center.abs() + below.radius)
        radius = radius + unit * size + UNDERFLOW
    low = z - radius
    high = z + radius
    if not below.hidden and not ball.deltas.norm.box_shaped:
        low, high = _within_norm(layer, ball, low, high, unit)
    if maxima_of(layer):
        bounds = [(hidden.low, hidden.high) for hidden in below.hidden]
        low, high = narrowed(layers, bounds, ball, low, high, unit)
    least = activated(layer, low)
    most = activated(layer, high)
    radius = (most - least) / 2
    center = (most + least) / 2
    if unit:
        radius = radius + unit * (most.abs() + least.abs()) + UNDERFLOW
    hidden = (*below.hidden, HiddenBounds(low, high))
    return replace(below, hidden=hidden, center=center, radius=radius)


def _within_norm(
    layer: Layer, ball: Ball, low: Tensor, high: Tensor, unit: float
) -> tuple[Tensor, Tensor]:
    """Bounds of the first layer, at most as wide as the ball without its box says."""
    z = layer.forward(ball.center)
    moved = first_norms(layer, ball.deltas.norm.q) * ball.deltas.eps.unsqueeze(1)
    if unit:
        size = layer.absolute().forward(ball.center.abs())
        moved = moved + unit * (moved + size) + UNDERFLOW
    return low.maximum(z - moved), high.minimum(z + moved)
