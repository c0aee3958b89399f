"""The question whether a ball holds an adversarial input, from its bounds to its answer."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.bounds.alpha_crown import relaxations
from relu.bounds.ball import Ball
from relu.bounds.branching.deadline import Deadline
from relu.bounds.branching.search import Result, Search
from relu.bounds.branching.tightening import refined
from relu.bounds.linear import margin_lower_bounds, relax
from relu.bounds.reduced.network import Bounds, ReducedNetwork, reduced_network
from relu.bounds.relaxed_network import RelaxedNetwork
from relu.classes import others
from relu.network.activation import crossing
from relu.network.layers import Layer

FEW = 500  # units that may switch
SHORT = 40  # domains of a short search
REFINING = 0.3  # share of the time left that bounds of all units may take, each time
Effort = tuple[int | None, int | None]
"""rounds of branch and bound for the bounds of units, and domains of the search that follows"""

EFFORTS: tuple[Effort, ...] = ((0, 500), (30, 2000), (100, None))
"""efforts for one input, until one decides"""


@torch.no_grad()
def decided(
    layers: Sequence[Layer],
    ball: Ball,
    y: int,
    is_witness: Callable[[Float[Tensor, " d"]], bool],
    deadline: Deadline,
    *,
    largest: Sequence[float] | None = None,
) -> Result:
    """Whether some other class wins or ties in the ball of one input (float64).

    largest: bounds of the layers' largest singular values, of use in l2 and l1.
    is_witness: whether a perturbation of the ball's center is an adversarial input of the ball; it
    decides, as bounds are attained only nearly. Where KW's bounds leave few units open, a short
    search comes first; then bounds of all units are improved by ascent, from the better of KW's and
    CROWN's, for a search until time is over.
    """
    label = torch.tensor([y], device=ball.center.device)
    kw = relax(layers, ball, "kw")
    found = [kw, relax(layers, ball, "crown", known=kw.hidden, largest=largest)]
    if _open_units(layers, kw) <= FEW:
        first = _searched(layers, ball, label, found, is_witness, deadline, [(None, SHORT)])
        if first.verdict in ("certified", "witness"):
            return first
    found = relaxations(layers, ball, largest)
    return _searched(layers, ball, label, found, is_witness, deadline, EFFORTS)


def _open_units(layers: Sequence[Layer], relaxed: RelaxedNetwork) -> int:
    sides = zip(layers, relaxed.bounds, strict=False)
    return sum(int(crossing(low, high, layer.leak).sum()) for layer, (low, high) in sides)


def _searched(
    layers: Sequence[Layer],
    ball: Ball,
    label: Int[Tensor, " 1"],
    found: Sequence[RelaxedNetwork],
    is_witness: Callable[[Float[Tensor, " d"]], bool],
    deadline: Deadline,
    efforts: Sequence[Effort],
) -> Result:
    """What searches find from these bounds, until one decides or time is over."""
    margins = torch.stack([margin_lower_bounds(relaxed, label)[0] for relaxed in found])
    left = others(label, margins.shape[1] + 1)[0][~(margins > 0).any(0)]
    result = Result("certified")
    if not len(left):
        return result
    bounds: Bounds = [(low[0], high[0]) for low, high in found[-1].bounds]
    level = [None if units is None else units[0] for units in found[-1].level]
    couplings = [lines.coupling for lines in found[-1].lines]
    net = reduced_network(layers, ball, bounds, level, couplings)
    for rounds, most in efforts:
        if rounds is not None:
            net = refined(net, Deadline.after(REFINING * deadline.left), rounds=rounds)
            bounds = _improved(bounds, net)
            net = reduced_network(layers, ball, bounds, level, couplings)
        result = Search(net, int(label), left, is_witness, deadline, most=most).result()
        if result.verdict in ("certified", "witness") or deadline.passed:
            break
    return result


def _improved(bounds: Bounds, net: ReducedNetwork) -> Bounds:
    """All units' bounds, with those that a reduced network has."""
    improved = []
    for (low, high), which, part in zip(bounds, net.which, net.slices, strict=True):
        improved.append(
            (low.index_copy(0, which, net.low[part]), high.index_copy(0, which, net.high[part]))
        )
    return improved
