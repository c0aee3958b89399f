"""What the methods on interval bounds share: how eps rises, where weights begin, a regulariser."""

import math
from dataclasses import dataclass, replace
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from jaxtyping import Float
from torch import Tensor, nn

from methods._ramp import smooth_ramp
from relu.bounds.ball import Ball, ball_of
from relu.bounds.intervals import Intervals, intervals
from relu.bounds.relaxed_network import HiddenBounds
from relu.classes import Images, Labels
from relu.network.activation import switching
from relu.network.layers import Layer, to_vectors
from relu.network.reader import read_layers
from relu.threat import Threat

TOLERANCE = 0.5  # ratios below which the regulariser counts [SWZYH21]
TINY = 1e-6  # what eps is at least, where the ramp begins


@dataclass(frozen=True, eq=False)
class Around:
    """Interval bounds, and the balls that they hold over."""

    bounds: Intervals
    ball: Ball


@dataclass(frozen=True, kw_only=True)
class IntervalTraining:
    """Settings of a training on interval bounds [GDSQBUMK18, SWZYH21].

    scale: the largest eps of the training, in multiples of the threat's. warm_up: share of the
    training before eps rises; ramp: share within which it does. weight: of the loss on bounds,
    with the rest on the clean batch. regulariser: weight of Shi et al.'s, while eps rises.
    """

    scale: Annotated[float, Gt(0)] = 1.0
    warm_up: Annotated[float, Ge(0), Le(1)] = 0.0
    ramp: Annotated[float, Ge(0), Le(1)] = 0.3
    weight: Annotated[float, Ge(0), Le(1)] = 1.0
    regulariser: Annotated[float, Ge(0)] = 0.5

    def prepare(self, net: nn.Module) -> None:
        """Weights under which bounds neither explode nor vanish (`interval_weights`)."""
        interval_weights(net)

    def risen(self, progress: float) -> float:
        """The share of the largest eps that the training has reached."""
        return smooth_ramp(progress, self.warm_up, self.ramp)

    def threat_at(self, threat: Threat, progress: float) -> Threat:
        """The threat of this progress."""
        share = max(TINY, self.risen(progress))
        return replace(threat, eps=self.scale * share * float(threat.eps))

    def whole(
        self, robust: Tensor, net: nn.Module, x: Images, y: Labels, around: Around, progress: float
    ) -> Float[Tensor, ""]:
        """The loss on bounds with its weight, the clean one with the rest, and the regulariser."""
        loss = self.weight * robust
        if self.weight < 1:
            loss = loss + (1 - self.weight) * F.cross_entropy(net(x), y)
        weight = self.regulariser * (1 - self.risen(progress))
        return loss + weight * stability(around.bounds, around.ball) if weight else loss


def around(net: nn.Module, x: Images, threat: Threat) -> Around:
    """Interval bounds over the threat's balls, inside the box."""
    layers = read_layers(net, tuple(x.shape[1:]))
    ball = ball_of(to_vectors(layers, x), threat)
    return Around(intervals(layers, ball), ball)


@torch.no_grad()
def interval_weights(net: nn.Module) -> None:
    """Draws the weights of all affine modules but the last from N(0, 2 pi / n^2), their biases 0.

    n: the terms of a unit's sum. Half widths of intervals then stay as they are from layer to
    layer [SWZYH21, Section 3.1]. Draws from torch's global generator.
    """
    kinds = (nn.Linear, nn.Conv2d)
    for module in [module for module in net.modules() if isinstance(module, kinds)][:-1]:
        terms = module.weight[0].numel()
        module.weight.normal_(0, math.sqrt(2 * math.pi) / terms)
        if module.bias is not None:
            module.bias.zero_()


def stability(bounds: Intervals, ball: Ball) -> Float[Tensor, ""]:
    """How much bounds widen from layer to layer, and how uneven active and inactive units are.

    The mean over the layers with ReLUs of

        relu(t - r_0 / r_i) / t  +  relu(t - m_i) / t  +  relu(t - v_i) / t,

    r_i the mean half width of pre-activations, r_0 of the input; m_i the ratio, at most 1, of the
    sums of interval centers of active and of inactive units, v_i that of the sums of their squared
    distances to the mean center; t = TOLERANCE [SWZYH21, Sections 3.2 and 3.3].
    """
    first = (ball.deltas.up + ball.deltas.down).mean() / 2
    parts = [
        _layer_stability(low, high, first)
        for layer, hidden in zip(bounds.layers, bounds.hidden, strict=False)
        for low, high in [_of_kinks(layer, hidden)]
        if low.shape[1]
    ]
    return torch.stack(parts).mean() if parts else bounds.center.new_zeros(())


def _of_kinks(layer: Layer, hidden: HiddenBounds) -> tuple[Tensor, Tensor]:
    """The bounds of units that have a kink."""
    kinked = switching(layer)
    if kinked is None:
        return hidden.low, hidden.high
    return hidden.low[:, kinked], hidden.high[:, kinked]


def _layer_stability(low: Tensor, high: Tensor, first: Tensor) -> Tensor:
    center = (low + high) / 2
    active = (low > 0).to(center.dtype)
    inactive = (high < 0).to(center.dtype)
    spread = (center - center.mean()).square()
    width = (high - low).mean() / 2
    ratios = [
        first / width.clamp_min(1e-12),
        _at_most_one((center * active).sum(), -(center * inactive).sum()),
        _at_most_one((spread * active).sum(), (spread * inactive).sum()),
    ]
    return (torch.relu(TOLERANCE - torch.stack(ratios)) / TOLERANCE).sum()


def _at_most_one(a: Tensor, b: Tensor) -> Tensor:
    """The smaller of two numbers >= 0 over the larger; 1 where both are 0."""
    larger = torch.maximum(a, b)
    some = larger > 0
    return torch.where(some, torch.minimum(a, b) / torch.where(some, larger, 1.0), 1.0)
