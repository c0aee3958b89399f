"""Numbers so small that products of them vanish: nothing is certified because of that."""

import math

import pytest
import torch
from torch import Tensor, nn

from evaluators.bab import Bab
from evaluators.crown import Crown
from evaluators.interface import Evaluator, Interval
from evaluators.kw import Kw
from relu.bounds.alpha_crown import tightest_margins
from relu.bounds.ball import ball_of
from relu.bounds.lipschitz import largest_singular_values
from relu.network.reader import read_layers
from relu.threat import Threat

DOUBLE = torch.float64
EVALUATORS = [Bab(), Crown(bisection_steps=0), Kw(bisection_steps=0)]


def linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight), dtype=DOUBLE)
    layer.weight = nn.Parameter(torch.tensor(weight, dtype=DOUBLE), requires_grad=False)
    layer.bias = nn.Parameter(torch.tensor(bias, dtype=DOUBLE), requires_grad=False)
    return layer


def low(evaluator: Evaluator, net: nn.Module, x: Tensor, threat: Threat) -> float:
    zero = torch.zeros(1, dtype=DOUBLE)
    known = Interval(low=zero, high=zero + torch.inf)
    return float(evaluator.judge(net, x, torch.tensor([0]), threat=threat, known=known).low)


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda e: type(e).__name__)
def test_a_coefficient_that_vanishes_between_layers_is_counted(evaluator: Evaluator) -> None:
    """f_1 = 1e308 * 1e-162 * 1e-162 x = 1e-16 x exceeds f_0 = 0.6e-16 from x = 0.6 on."""
    net = nn.Sequential(
        linear([[1e308]], [0.0]),
        nn.ReLU(),
        linear([[1e-162]], [0.0]),
        nn.ReLU(),
        linear([[0.0], [1e-162]], [0.6e-16, 0.0]),
    )
    x = torch.full((1, 1), 0.5, dtype=DOUBLE)
    assert low(evaluator, net, x, Threat(norm="linf", eps=0.25)) <= 0.1


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda e: type(e).__name__)
def test_a_radius_whose_square_vanishes_is_no_smaller(evaluator: Evaluator) -> None:
    """x_0 + x_1 is up to sqrt(2) eps on the ball: f_1 wins at (1 - 1e-12) eps."""
    eps = 1e-157
    net = nn.Sequential(linear([[0.0, 0.0], [1.0, 1.0]], [math.sqrt(2) * eps * (1 - 1e-12), 0.0]))
    x = torch.zeros(1, 2, dtype=DOUBLE)
    assert low(evaluator, net, x, Threat(norm="l2", eps=eps, box=(-1.0, 1.0))) < eps


def test_nor_is_that_of_a_layer() -> None:
    """At 0.95 eps along (2, 1) / sqrt(5) f_1 wins already."""
    net = nn.Sequential(
        linear([[-1.0, 2.0], [2.0, 1.0], [1.0, 0.5]], [0.0] * 3),
        nn.ReLU(),
        linear([[0.0] * 3, [0.5, 1.0, 1.0]], [5.374011537017756e-162, 0.0]),
    )
    layers = read_layers(net, (2,))
    x = torch.zeros(1, 2, dtype=DOUBLE)
    ball = ball_of(x, Threat(norm="l2", eps=1.6e-162, box=(-1.0, 1.0)), box=False)
    largest = largest_singular_values(layers, squarings=8)
    margins = tightest_margins(layers, ball, torch.tensor([0]), iterations=3, largest=largest)
    assert not bool((margins > 0).any())
