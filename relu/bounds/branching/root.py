"""The question whether a ball holds an adversarial input, from its bounds to its answer."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from relu.bounds.alpha_crown import relaxations
from relu.bounds.ball import Ball
from relu.bounds.branching.deadline import Deadline
from relu.bounds.branching.reduced import Bounds, ReducedNetwork, reduced_network
from relu.bounds.branching.search import Result, Search
from relu.bounds.branching.tightening import refined
from relu.bounds.linear import margin_lower_bounds
from relu.classes import others
from relu.network.layers import Layer

REFINING = 0.3  # share of the time that bounds of all units may take


@torch.no_grad()
def decided(
    layers: Sequence[Layer],
    ball: Ball,
    y: int,
    is_witness: Callable[[Float[Tensor, " d"]], bool],
    deadline: Deadline,
) -> Result:
    """Whether some other class wins or ties in the ball of one input (float64).

    is_witness: whether a perturbation of the ball's center is an adversarial input of the ball; it
    decides, as bounds are attained only nearly. First by KW's and CROWN's bounds; then with bounds
    of all units improved by ascent; then by branching.
    """
    label = torch.tensor([y], device=ball.center.device)
    found = relaxations(layers, ball)
    margins = torch.stack([margin_lower_bounds(relaxed, label)[0] for relaxed in found])
    left = others(label, margins.shape[1] + 1)[0][~(margins > 0).any(0)]
    if not len(left):
        return Result("certified", None, 0, 0.0)
    bounds = [(low[0], high[0]) for low, high in found[-1].bounds]
    net = reduced_network(layers, ball, bounds)
    net = refined(net, Deadline.after(REFINING * deadline.left))
    net = reduced_network(layers, ball, _improved(bounds, net))
    return Search(net, y, left, is_witness, deadline).result()


def _improved(bounds: Bounds, net: ReducedNetwork) -> Bounds:
    """All units' bounds, with those that a reduced network has."""
    improved = []
    for (low, high), which, part in zip(bounds, net.which, net.slices, strict=True):
        improved.append(
            (low.index_copy(0, which, net.low[part]), high.index_copy(0, which, net.high[part]))
        )
    return improved
