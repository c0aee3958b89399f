"""The question whether a ball holds an adversarial input, from its bounds to its answer.

Efforts grow until one decides. First they are made for all other classes together; then for each of
them that is left apart, with bounds of units that hold where that class wins or ties.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.bounds.alpha_crown import relaxations
from relu.bounds.ball import Ball
from relu.bounds.branching.deadline import Deadline
from relu.bounds.branching.refinement import crossed, refined, refined_where
from relu.bounds.branching.search import QUICK, Deeper, Result, Search
from relu.bounds.linear import margin_lower_bounds, relax
from relu.bounds.reduced.network import Bounds, ReducedNetwork, reduced_network
from relu.bounds.relaxed_network import RelaxedNetwork
from relu.classes import others
from relu.network.activation import crossing
from relu.network.layers import Layer

FEW = 500  # units that may switch
SHORT = 40  # domains of a short search


class Effort(NamedTuple):
    """Better bounds of all units, and a search.

    rounds: of branch and bound for units; parts: they take at most one of so many of the time that
    is left; pays: what must at most be left of the units' widths, or the search before goes on
    instead; domains: of the search that follows.
    """

    rounds: int
    parts: float
    pays: float
    domains: int


TOGETHER = (
    Effort(0, 3.0, math.inf, 500),
    Effort(30, 12.0, 0.85, 500),
    Effort(100, 3.0, math.inf, 1000),
)
ROUNDS = (20, 100)  # of branch and bound for one class: at first, and at most
PARTS = 3.0  # bounds of units for one class take at most one of so many of its time
DOMAINS = 200  # of the first search for one class; each later one has twice as many


@torch.no_grad()
def decided(
    layers: Sequence[Layer],
    ball: Ball,
    y: int,
    is_witness: Callable[[Float[Tensor, " d"]], bool],
    deadline: Deadline,
    *,
    largest: Sequence[float] | None = None,
    deeper: Deeper | None = None,
) -> Result:
    """Whether some other class wins or ties in the ball of one input (float64).

    largest: bounds of the layers' largest singular values, of use in l2 and l1. deeper: looks for
    witnesses near points where a margin is small. is_witness: whether a perturbation of the ball's
    center is an adversarial input of the ball; it decides, as bounds are attained only nearly.
    Where KW's bounds leave few units open, a short search comes first; then searches follow with
    ever better bounds of all units.
    """
    question = _Question(layers, ball, y, is_witness, deadline, deeper)
    kw = relax(layers, ball, "kw")
    found = [kw, relax(layers, ball, "crown", known=kw.hidden, largest=largest)]
    if _open_units(layers, kw) <= FEW:
        net = question.reduced(found[-1], _bounds(found[-1]))
        result = question.quick_search(net, question.left(found)).result(SHORT)
        if result.verdict in ("certified", "witness"):
            return result
    found = relaxations(layers, ball, largest)
    return _together(question, found[-1], question.left(found))


@dataclass(frozen=True, eq=False)
class _Question:
    """Of one input, and how long it may take."""

    layers: Sequence[Layer]
    ball: Ball
    y: int
    is_witness: Callable[[Float[Tensor, " d"]], bool]
    deadline: Deadline
    deeper: Deeper | None

    def left(self, found: Sequence[RelaxedNetwork]) -> Int[Tensor, " k"]:
        """The other classes that no relaxation excludes."""
        label = torch.tensor([self.y], device=self.ball.center.device)
        margins = torch.stack([margin_lower_bounds(relaxed, label)[0] for relaxed in found])
        return others(label, margins.shape[1] + 1)[0][~(margins > 0).any(0)]

    def reduced(self, relaxed: RelaxedNetwork, bounds: Bounds) -> ReducedNetwork:
        """The network with these bounds of its units, and with a relaxation's levels and balls."""
        level = [None if units is None else units[0] for units in relaxed.level]
        couplings = [lines.coupling for lines in relaxed.lines]
        return reduced_network(self.layers, self.ball, bounds, level, couplings)

    def search(
        self, net: ReducedNetwork, rivals: Int[Tensor, " k"], deadline: Deadline | None = None
    ) -> Search:
        """For any of these classes."""
        return Search(
            net, self.y, rivals, self.is_witness, deadline or self.deadline, deeper=self.deeper
        )

    def quick_search(self, net: ReducedNetwork, rivals: Int[Tensor, " k"]) -> Search:
        """For any of these classes, with few steps for each domain."""
        return Search(net, self.y, rivals, self.is_witness, self.deadline, steps=QUICK)


def _together(question: _Question, relaxed: RelaxedNetwork, rivals: Int[Tensor, " k"]) -> Result:
    """Efforts for all classes that are left, and then for each of them."""
    if not len(rivals):
        return Result("certified")
    bounds = _bounds(relaxed)
    net = question.reduced(relaxed, bounds)
    search = question.search(net, rivals)
    for effort in TOGETHER:
        finer = refined(net, question.deadline.share(effort.parts), rounds=effort.rounds)
        if _width(finer) >= effort.pays * _width(net):
            return search.result()
        bounds = _merged(bounds, finer)
        net = question.reduced(relaxed, bounds)
        search = question.search(net, rivals)
        result = search.result(effort.domains)
        if result.verdict != "timeout":
            return result
        rivals = rivals[list(result.left)]
    return _apart(question, relaxed, [(rival, bounds, net) for rival in rivals.split(1)])


def _width(net: ReducedNetwork) -> float:
    """What the widths of the boxes of units above the first layer add up to."""
    above = net.slices[0].stop if net.slices else 0
    return float((net.high - net.low)[above:].sum())


def _apart(
    question: _Question,
    relaxed: RelaxedNetwork,
    left: Sequence[tuple[Int[Tensor, " 1"], Bounds, ReducedNetwork]],
) -> Result:
    """Efforts for each class that is left, with bounds that hold where this class wins or ties."""
    effort = 0
    ended = Result("certified")
    timeout = Result("timeout")
    while left and not question.deadline.passed:
        before = left
        left = []
        rounds = min(ROUNDS[0] * (1 + effort), ROUNDS[1])
        for i, (rival, bounds, net) in enumerate(before):
            if question.deadline.passed:
                return timeout
            share = question.deadline.share(len(before) - i)
            margin = net.margins(question.y, rival)
            finer = refined_where(net, margin, share.share(PARTS), rounds=rounds)
            if crossed(finer):
                continue
            bounds = _merged(bounds, finer)
            net = question.reduced(relaxed, bounds)
            result = question.search(net, rival, share).result(DOMAINS * 2**effort)
            if result.verdict == "witness":
                return result
            if result.verdict == "timeout":
                timeout = result
                left.append((rival, bounds, net))
            if result.verdict == "open":
                ended = result
        effort += 1
    return timeout if left else ended


def _open_units(layers: Sequence[Layer], relaxed: RelaxedNetwork) -> int:
    sides = zip(layers, relaxed.bounds, strict=False)
    return sum(int(crossing(low, high, layer.leak).sum()) for layer, (low, high) in sides)


def _bounds(relaxed: RelaxedNetwork) -> Bounds:
    return [(low[0], high[0]) for low, high in relaxed.bounds]


def _merged(bounds: Bounds, net: ReducedNetwork) -> Bounds:
    """All units' bounds, with those that a reduced network has."""
    improved = []
    for (low, high), which, part in zip(bounds, net.which, net.slices, strict=True):
        improved.append(
            (low.index_copy(0, which, net.low[part]), high.index_copy(0, which, net.high[part]))
        )
    return improved
