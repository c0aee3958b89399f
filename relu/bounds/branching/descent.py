"""A short descent of margins through linear regions: towards the ball's lowest point of each."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from relu.bounds.reduced.boxes import boxes_of, crown_slopes
from relu.bounds.reduced.dual import bounded, least_delta, true_points
from relu.bounds.reduced.forms import Forms
from relu.bounds.reduced.network import ReducedNetwork

ROUNDS = 3
SHARES = (1.0, 0.5, 0.2, 0.05)  # of the way that are tried [FW56: convex steps stay in the ball]


def descent(
    net: ReducedNetwork, margins: Forms, delta: Float[Tensor, "d m"]
) -> Iterator[tuple[Float[Tensor, "d m"], Float[Tensor, " m"]]]:
    """Perturbations and the network's own margins there: the start, then after every round."""
    points = true_points(net, delta)
    value = _values(margins, points)
    yield delta, value
    for _ in range(ROUNDS):
        if not delta.shape[1]:
            return
        outputs = points[net.d :]
        region = boxes_of(outputs, outputs, net.leak)
        gradient = bounded(net, margins, region, crown_slopes(outputs, outputs)).input
        lowest = least_delta(net.deltas, gradient)
        start = points[: net.d]
        for share in SHARES:
            tried = true_points(net, start + share * (lowest - start))
            there = _values(margins, tried)
            lower = there < value
            points = torch.where(lower, tried, points)
            value = torch.where(lower, there, value)
        yield points[: net.d], value


def _values(margins: Forms, points: Float[Tensor, "columns m"]) -> Float[Tensor, " m"]:
    return (margins.rows.T * points).sum(0) + margins.offset
