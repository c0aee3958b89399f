"""What is known of a network around one input, as far as a radius: bounds, and a program."""

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from evaluators._highs import HighsRelaxed
from evaluators._one_input import Input
from evaluators._solver import SolverError
from relu.bounds import linear
from relu.bounds.alpha_crown import relaxations
from relu.bounds.relaxation import Relaxation
from relu.bounds.relaxed_network import HiddenBounds
from relu.milp.encoding import SLACK, Encoding, encoding
from relu.network.activation import crossing

# Of what a margin can vary by: the program's margin at the input is no more than this above the
# network's, and no more than this below.
AGREEING = 1e-9
LESS = 1e-6
KINDS: tuple[Relaxation, ...] = ("kw", "crown")
Bounds = list[tuple[Tensor, Tensor]]
"""lower and upper bounds of the units of each hidden layer, of one input"""


@dataclass(frozen=True, eq=False)
class Around:
    """The ball of one radius: bounds of all hidden units, and of the margins to `other_classes`."""

    problem: Input
    radius: float
    bounds: Bounds
    margins: Tensor
    other_classes: list[int]

    def in_doubt(self) -> list[int]:
        """The classes that may win somewhere in the ball, the most likely one first."""
        order = self.margins.argsort().tolist()
        return [self.other_classes[i] for i in order if not self.margins[i] > 0]

    def encoding(self, slack: float = SLACK) -> Encoding:
        """The network on the ball. Raises SolverError where it is wrong about the input itself."""
        problem = self.problem
        network = encoding(problem.layers, problem.x, problem.threat, self.radius, slack=slack)
        for low, high in self.bounds:
            network = network.beyond(low, high)
        if slack:
            _require_agreement(network, problem)
        return network


def around(problem: Input, radius: float) -> Around:
    """The ball of this radius, with dual bounds."""
    relaxed_networks = relaxations(problem.layers, problem.ball(radius))
    best = torch.stack(
        [linear.margin_lower_bounds(relaxed, problem.label) for relaxed in relaxed_networks]
    ).amax(0)[0]
    bounds = [(low[0], high[0]) for low, high in relaxed_networks[-1].bounds]
    return Around(problem, radius, bounds, best, problem.other_classes(len(best) + 1))


def tightened(here: Around, *, seconds: float, end: float) -> Around:
    """With bounds of units that may switch improved by two LPs each, layer after layer [TXT19].

    An LP is the program of the layers below without whole numbers. Its multipliers prove the
    bound, whatever the solver says of it. The first layer's bounds are as good as they get.
    seconds: for each LP; none begins after `end`.
    """
    problem = here.problem
    bounds = list[tuple[Tensor, Tensor]]()
    below = encoding(problem.layers, problem.x, problem.threat, here.radius)
    for k, (low, high) in enumerate(here.bounds):
        which = crossing(low, high, problem.layers[k].leak).nonzero().squeeze(1)
        if k and len(which):
            low, high = _tighter(below, which, low, high, seconds, end)
        bounds.append((low, high))
        below = below.beyond(low, high)
    known = [HiddenBounds(low.unsqueeze(0), high.unsqueeze(0)) for low, high in bounds]
    best = here.margins
    for kind in KINDS:
        again = linear.relax(problem.layers, problem.ball(here.radius), kind, known=known)
        best = best.maximum(linear.margin_lower_bounds(again, problem.label)[0])
    return replace(here, bounds=bounds, margins=best)


def _tighter(
    below: Encoding, which: Tensor, low: Tensor, high: Tensor, seconds: float, end: float
) -> tuple[Tensor, Tensor]:
    forms = below.forms(which)
    program = below.program()
    errors = (below.unit * forms.size).tolist()
    ends_by_sign = {1: low.clone(), -1: high.clone()}
    for sign, ends in ends_by_sign.items():
        costs = sign * forms.rows.numpy()
        offsets = (sign * forms.offset).tolist()
        solved = HighsRelaxed(program).multipliers(costs, seconds)
        for unit, cost, offset, error in zip(which.tolist(), costs, offsets, errors, strict=True):
            if time.monotonic() > end:
                break
            if (multipliers := next(solved)) is not None:
                least = program.asking(cost, offset=offset).least(multipliers) - error
                ends[unit] = sign * max(sign * float(ends[unit]), least)
    return ends_by_sign[1], ends_by_sign[-1]


def _require_agreement(network: Encoding, problem: Input) -> None:
    """The input is a point of the program: there is one, so "infeasible" speaks of a cut-off."""
    v = network.variables(problem.x)
    logits = problem.logits(problem.x)
    missed = network.program().violation(v)
    for s in problem.other_classes(len(logits)):
        cost, offset, scale = network.margin(problem.y, s)
        said = cost @ v + offset
        true = float(logits[problem.y] - logits[s]) / scale
        missed = max(missed, said - true - AGREEING, true - said - LESS)
    if missed > 0:
        raise SolverError(f"the program is wrong about the input by {missed:.1e}")
