"""Where a margin is least in the linear region of an input: a linear program."""

from collections.abc import Collection
from functools import cached_property

import numpy as np
from torch import Tensor

from evaluators._highs import Highs
from evaluators._milp_problem import around
from evaluators._one_input import Input
from evaluators._solver import SolverError
from relu.milp.encoding import Encoding
from relu.threat import Norm

LINEAR: Collection[Norm] = ("linf", "l1")
"""norms whose balls linear programs describe"""
ROUNDS = 3  # from region to region, at most
SECONDS = 5.0  # for one linear program
LARGEST = 5000  # units of a layer, whose square is the size of its dense rows
GAIN = 1e-9  # of what a margin can vary by: what is less is rounding


class Regions:
    """The linear regions of a network in the ball of a radius around an input."""

    def __init__(self, problem: Input, radius: float) -> None:
        self.problem = problem
        self.radius = min(radius, problem.reach)

    @cached_property
    def _network(self) -> Encoding | None:
        """None where the network is too large to be written down, or its program is wrong."""
        if max(layer.size for layer in self.problem.layers) > LARGEST:
            return None
        try:
            return around(self.problem, self.radius).encoding(slack=0.0)
        except SolverError:
            return None

    def lowest(self, z: Tensor, other_class: int) -> Tensor | None:
        """The point with the least margin to a class in the region of z, and of regions behind it.

        z: an input of the ball. None where the solver fails, or the network is too large.
        """
        network = self._network
        if network is None:
            return None
        cost, offset, _ = network.margin(self.problem.y, other_class)
        v = network.variables(z)
        value = float(cost @ v[: len(cost)]) + offset
        for _ in range(ROUNDS):
            program = network.program().pinned(np.pad(v, (0, len(network.low) - len(v))))
            try:
                answer = Highs().solve(program.asking(cost, offset=offset), seconds=SECONDS)
            except SolverError:
                return None
            if answer.point is None:
                return None
            z = network.point(answer.point)
            v = network.variables(z)
            before = value
            value = float(cost @ v[: len(cost)]) + offset
            if value > before - GAIN:
                break
        return z
