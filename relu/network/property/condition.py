"""A property of a network as a network of its own, whose class 0 is what is to be shown.

The property is violated by an input x of a box whose outputs y meet all rows of a disjunct:

    exists d: for all k: a_dk y <= b_dk

The network around the network takes u in [-1, 1], forms x = center + radius u, and gives the
logits [0, -m_1, ..., -m_D], with m_d = max_k (a_dk y - b_dk): its class is not 0, ties included,
exactly where x violates the property. A maximum of two is b + relu(a - b).
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from relu.errors import InputError
from relu.network.layers import Shape
from relu.network.property.case import (
    Case,
    Row,
    enclosing_box,
    float32_down,
    float32_up,
    nearest_float32,
)

Traced = Any
"""a tensor, or the symbol of one with which torch.fx follows it"""
PARTS = 5  # float32 numbers that a coefficient may be the sum of

Side = Literal["outer", "inner"]
"""where bounds b that are no float32 are rounded to: "outer" upwards, so that the network violates
whatever violates the property; "inner" downwards, below b for strict rows, the other way round"""


class PropertyNetwork(nn.Module):
    """The condition on center + radius u."""

    center: Tensor
    radius: Tensor

    def __init__(self, condition: nn.Module, center: Tensor, radius: Tensor) -> None:
        super().__init__()
        self.condition = condition
        self.register_buffer("center", center)
        self.register_buffer("radius", radius)

    def forward(self, u: Traced) -> Traced:
        """The logits at center + radius u."""
        return self.condition(u * self.radius + self.center)

    def inputs(self, u: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
        """The inputs center + radius u, in float64."""
        return u.double() * self.radius.double() + self.center.double()


class ConditionNetwork(nn.Module):
    """The logits [0, -m_1, ..., -m_D] of a network's outputs."""

    def __init__(self, net: nn.Module, rows: Sequence[nn.Linear], maxima: nn.Sequential) -> None:
        super().__init__()
        self.net = net
        self.rows = nn.ModuleList(rows)
        self.maxima = maxima

    def forward(self, x: Traced) -> Traced:
        """0, and minus the margin of each disjunct."""
        y = self.net(x)
        values = self.rows[0](y)
        for part in self.rows[1:]:
            values = values + part(y)
        return self.maxima(values)


class Halving(nn.Module):
    """Maxima of pairs: b + relu(a - b); entries without a partner are carried on."""

    def __init__(self, groups: Sequence[int]) -> None:
        super().__init__()
        size = sum(groups)
        halves = [(count + 1) // 2 for count in groups]
        pairs = [count // 2 for count in groups]
        carried = torch.zeros(sum(halves), size)
        difference = torch.zeros(sum(pairs), size)
        gain = torch.zeros(sum(halves), sum(pairs))
        entry = half = pair = 0
        for count in groups:
            for first in range(0, count, 2):
                last = min(first + 1, count - 1)
                carried[half, entry + last] = 1
                if last > first:
                    difference[pair, entry + first] = 1
                    difference[pair, entry + last] = -1
                    gain[half, pair] = 1
                    pair += 1
                half += 1
            entry += count
        self.carried, self.difference, self.gain = map(_linear, (carried, difference, gain))
        self.groups = halves

    def forward(self, values: Traced) -> Traced:
        """The maximum of each pair."""
        return self.carried(values) + self.gain(F.relu(self.difference(values)))


def property_network(net: nn.Module, case: Case, shape: Shape, outputs: int) -> PropertyNetwork:
    """The network of a case, with bounds rounded to the safe side of proofs; u has `shape`.

    outputs: of the network. Raises InputError where a number is beyond float32.
    """
    condition = condition_network(net, case.disjuncts, outputs, side="outer")
    center, radius = (part.view(shape) for part in enclosing_box(case))
    return PropertyNetwork(condition, center, radius).requires_grad_(False).eval()


def condition_network(
    net: nn.Module, disjuncts: Sequence[Sequence[Row]], outputs: int, *, side: Side
) -> ConditionNetwork:
    """The network of a condition alone, on inputs x. Raises InputError: a number beyond float32.

    Rows are multiplied by what makes whole numbers of their coefficients, which stay exact, as
    sums of float32 numbers where one is not enough; bounds are rounded to a side.
    """
    weights, biases = _matrices([row for rows in disjuncts for row in rows], outputs, side)
    groups = [len(rows) for rows in disjuncts]
    stages: list[nn.Module] = []
    while max(groups) > 1:
        stage = Halving(groups)
        stages.append(stage)
        groups = stage.groups
    signs = -torch.cat([torch.zeros(1, len(groups)), torch.eye(len(groups))])
    if stages:
        stages.append(_linear(signs))
    else:  # the rows are the margins
        weights = [signs @ weight for weight in weights]
        biases = signs @ biases
    rows = [_linear(weight) for weight in weights]
    rows[0].bias = nn.Parameter(biases)
    network = ConditionNetwork(net, rows, nn.Sequential(*stages))
    return network.requires_grad_(False).eval()


def _matrices(rows: Sequence[Row], outputs: int, side: Side) -> tuple[list[Tensor], Tensor]:
    """Matrices whose sum has the rows' coefficients, as whole numbers, and minus the bounds."""
    weights: list[Tensor] = [torch.zeros(len(rows), outputs)]
    biases = torch.zeros(len(rows))
    for i, row in enumerate(rows):
        factor = _factor(row)
        for j, coefficient in row.coefficients:
            for part, number in enumerate(_summands(coefficient * factor)):
                if part == len(weights):
                    weights.append(torch.zeros_like(weights[0]))
                weights[part][i, j] = number
        bound = row.bound * factor
        outer = side == "outer"
        biases[i] = -(float32_up(bound) if outer else float32_down(bound, below=row.strict))
    return weights, biases


def _factor(row: Row) -> Fraction:
    """What makes the coefficients whole numbers without a common divisor."""
    whole = math.lcm(*(a.denominator for _, a in row.coefficients))
    common = math.gcd(*((a * whole).numerator for _, a in row.coefficients))
    return Fraction(whole, common or 1)


def _summands(value: Fraction) -> list[float]:
    """Float32 numbers whose sum is a whole number, exactly. InputError: it is too long."""
    numbers: list[float] = []
    rest = value
    while rest:
        if len(numbers) == PARTS:
            raise InputError("a property's coefficients must be shorter numbers, or simpler ratios")
        numbers.append(nearest_float32(rest))
        rest -= Fraction(numbers[-1])
    return numbers


def _linear(weight: Float[Tensor, "m k"]) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight = nn.Parameter(weight)
    return linear
