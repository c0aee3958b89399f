"""Bounds of maxima from those of their entries, and which maxima are bounded better by them alone.

max over entries lies between the largest lower and the largest upper bound of them. Through
max(a, b) = b + relu(a - b) a bound comes with a chord for every pair, and is the tightest for two
entries. Of three or more that may be the largest, the constant is the better upper line where these
chords allow more than it, as they do in wide windows; it is DeepPoly's [SGPV19].
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from relu.bounds.ball import Ball
from relu.bounds.relaxed_network import Bounds
from relu.network.activation import activated
from relu.network.blocks import Blocks
from relu.network.layers import Layer
from relu.network.maxima import Maxima, largest, rivals

MANY = 3  # entries that may be the largest, from which on an upper line may be level


def maxima_of(layer: Layer) -> Sequence[Maxima]:
    """Which units of a layer are maxima."""
    return layer.maxima if isinstance(layer, Blocks) else ()


def narrowed(
    layers: Sequence[Layer],
    bounds: Bounds,
    ball: Ball,
    low: Float[Tensor, "n size"],
    high: Float[Tensor, "n size"],
    unit: float,
) -> tuple[Float[Tensor, "n size"], Float[Tensor, "n size"]]:
    """Bounds of the layer above those with bounds, at most as wide as their entries' bounds say.

    unit: the relative rounding error that bounds are to have room for.
    """
    for maxima in maxima_of(layers[len(bounds)]):
        least, most = _state(layers, bounds, ball, maxima.level)
        below = largest(least, maxima.plus)
        above = largest(most, maxima.plus)
        size = below.abs().maximum(above.abs())
        if maxima.minus is not None:
            taken = largest(least, maxima.minus), largest(most, maxima.minus)
            size = size + taken[0].abs().maximum(taken[1].abs())
            below = below - taken[1]
            above = above - taken[0]
        below = below - unit * size
        above = above + unit * size
        low = _put(low, maxima.units, below, below > low[:, maxima.units])
        high = _put(high, maxima.units, above, above < high[:, maxima.units])
    return low, high


def many_rivals(
    layers: Sequence[Layer], bounds: Bounds, ball: Ball
) -> Bool[Tensor, "n size"] | None:
    """Which units of the layer above those with bounds are maxima of many entries; None: none."""
    layer = layers[len(bounds)]
    whole = [maxima for maxima in maxima_of(layer) if maxima.minus is None]
    if not whole:
        return None
    many = torch.zeros(len(ball.center), layer.size, dtype=torch.bool, device=ball.center.device)
    for maxima in whole:
        least, most = _state(layers, bounds, ball, maxima.level)
        many[:, maxima.units] = rivals(least, most, maxima.plus) >= MANY
    return many


def _state(
    layers: Sequence[Layer], bounds: Bounds, ball: Ball, level: int
) -> tuple[Tensor, Tensor]:
    """Bounds of the state behind so many layers."""
    if level == 0:
        return ball.center - ball.deltas.down, ball.center + ball.deltas.up
    low, high = bounds[level - 1]
    layer = layers[level - 1]
    return activated(layer, low), activated(layer, high)


def _put(values: Tensor, units: slice, part: Tensor, where: Tensor) -> Tensor:
    values = values.clone()
    values[:, units] = torch.where(where, part, values[:, units])
    return values
