"""PGD on what the last layers take, inside interval bounds of it [MBRJFV23]."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.bounds.intervals import Intervals
from relu.classes import gaps
from relu.network.activation import activated, logits_of
from relu.network.layers import Layer

LINK = 0.5  # share of an interval, from either end, that moves with that end


def attacked_margins(
    bounds: Intervals, tail: int, y: Int[Tensor, " n"], *, steps: int
) -> Float[Tensor, "n k1"]:
    """f_y - f_s at the worst points that PGD finds for each other class s; differentiable.

    The points lie within interval bounds of what the last `tail` layers take; each step is
    2 / steps of a half width long, from random points. They move with the bounds' ends (`_linked`).
    """
    split = len(bounds.layers) - tail
    layer = bounds.layers[split - 1]
    hidden = bounds.hidden[split - 1]
    low = activated(layer, hidden.low)
    high = activated(layer, hidden.high)
    head = bounds.layers[split:]
    classes = head[-1].size - 1
    points = _worst_points(head, low.detach(), high.detach(), y, classes, steps)
    linked = _linked(points, low.unsqueeze(1), high.unsqueeze(1))
    return _own_gaps(head, linked, y)


def _worst_points(
    head: Sequence[Layer], low: Tensor, high: Tensor, y: Tensor, classes: int, steps: int
) -> Tensor:
    low = low.unsqueeze(1)
    high = high.unsqueeze(1)
    half = (high - low) / 2
    points = low + 2 * half * torch.rand(len(y), classes, low.shape[2], device=low.device)
    for _ in range(steps):
        points.requires_grad_()
        value = _own_gaps(head, points, y).sum()
        (gradient,) = torch.autograd.grad(value, points)
        moved = points.detach() - 2 / steps * half * gradient.sign()
        points = moved.maximum(low).minimum(high)
    return points


def _own_gaps(head: Sequence[Layer], points: Float[Tensor, "n k1 d"], y: Tensor) -> Tensor:
    """f_y - f_s, each s at its own point."""
    classes = points.shape[1]
    logits = logits_of(head, points.flatten(0, 1))
    every = gaps(logits, y.repeat_interleave(classes)).view(len(y), classes, classes)
    return every.diagonal(dim1=1, dim2=2)


def _linked(points: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The points, as functions of the ends of their intervals.

    The slope in `high` is 1 at the upper end and falls to 0 within LINK of the interval's width,
    likewise in `low`: the rectified linear link of [MBRJFV23, Section 3.3].
    """
    reach = (LINK * (high - low)).detach().clamp_min(1e-12)
    to_high = (1 - (high.detach() - points) / reach).clamp(0, 1)
    to_low = (1 - (points - low.detach()) / reach).clamp(0, 1)
    return points + to_high * (high - high.detach()) + to_low * (low - low.detach())
