"""Products and squares that underflow certify nothing."""

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from bench.parsing import NORMS
from relu.bounds.alpha_crown import tightest_margins
from relu.bounds.ball import ball_of
from relu.bounds.linear import margin_lower_bounds, relax
from relu.bounds.relaxation import Relaxation
from relu.network.reader import read_layers
from relu.regions.hyperplanes import distance_to, normals, planes_of
from relu.regions.region import region_of
from relu.regions.search import search
from relu.threat import Norm, Threat
from tests.hostile import rational


def chain(first: float, second: float, last: float, lead: float) -> nn.Sequential:
    """lead - last second first x."""
    net = nn.Sequential(
        nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2)
    ).double()
    net.requires_grad_(False)
    for place, weight in ((0, [[first]]), (2, [[second]]), (4, [[0.0], [last]])):
        net.get_parameter(f"{place}.weight").copy_(torch.tensor(weight, dtype=torch.float64))
        net.get_parameter(f"{place}.bias").zero_()
    net.get_parameter("4.bias")[0] = lead
    return net


VANISHING = chain(1e-200, 1e-200, 1e300, 1e-120)
"""at 1/2 it is negative, of which float64 sees nothing but the lead"""


def test_it_is_adversarial_and_float64_does_not_see_it() -> None:
    x = torch.full((1, 1), 0.5).double()
    assert float(VANISHING(x).diff()) < 0
    assert rational.margin(rational.read(VANISHING, (1,)), [0.5], 0) < 0


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", ["kw", "crown"])
def test_margins_of_products_that_underflow_are_not_positive(kind: Relaxation, norm: Norm) -> None:
    layers = read_layers(VANISHING, (1,))
    y = torch.tensor([0])
    for box in (True, False):
        threat = Threat(norm=norm, eps=0.25)
        ball = ball_of(torch.full((1, 1), 0.5).double(), threat, box=box)
        assert not (margin_lower_bounds(relax(layers, ball, kind), y) > 0).any()
        assert not (tightest_margins(layers, ball, y, iterations=3) > 0).any()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", ["kw", "crown"])
def test_a_fall_that_underflows_on_the_way_down_is_not_nothing(
    kind: Relaxation, norm: Norm
) -> None:
    # 6e-101 - 1e-100 x, from 1/2 to 3/4, where 1e-200 1e-200 1e300 is 0
    layers = read_layers(chain(1e300, 1e-200, 1e-200, 6e-101), (1,))
    y = torch.tensor([0])
    for box in (True, False):
        threat = Threat(norm=norm, eps=0.25)
        ball = ball_of(torch.full((1, 1), 0.5).double(), threat, box=box)
        assert not (margin_lower_bounds(relax(layers, ball, kind), y) > 0).any()


@pytest.mark.parametrize("norm", NORMS)
def test_planes_of_products_that_underflow_are_not_far(norm: Norm) -> None:
    layers = read_layers(VANISHING, (1,))
    threat = Threat(norm=norm, eps=0.25)
    x = torch.full((1, 1), 0.5).double()
    y = torch.tensor([0])
    planes = planes_of(region_of(layers, x), y, threat)
    assert planes.low.amin() == 0  # of a unit that float64 takes for inactive
    assert search(layers, x, y, threat=threat, neighbours=3).low == 0


def small_rows(tiny: float, hidden: int) -> nn.Sequential:
    """tiny^k (x0 - 1/4), no unit of which ever switches: the radius of (1/2, 1/2) is 1/4."""
    layers: list[nn.Module] = []
    for _ in range(hidden + 1):
        layers += [nn.Linear(2, 2), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(2, 2)).double().requires_grad_(False)
    for layer in net:
        if isinstance(layer, nn.Linear):
            layer.weight.copy_(tiny * torch.eye(2))
            layer.bias.zero_()
    first = net[0]
    assert isinstance(first, nn.Linear)
    first.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    first.bias.copy_(torch.tensor([1.0, 1.25]))
    return net


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("tiny", "hidden"), [(1e-35, 4), (1e-17, 9), (1e-80, 1), (1e-60, 2)])
def test_rows_whose_squares_underflow_have_their_lengths(
    tiny: float, hidden: int, norm: Norm
) -> None:
    net = small_rows(tiny, hidden)
    threat = Threat(norm=norm, eps=0.3)
    layers = read_layers(net, (2,))
    y = torch.tensor([0])
    x = torch.full((1, 2), 0.5).double()
    for box in (True, False):
        assert not (
            margin_lower_bounds(relax(layers, ball_of(x, threat, box=box), "kw"), y) > 0
        ).any()
    region = region_of(layers, x)
    planes = planes_of(region, y, threat)
    plane = torch.tensor([planes.low.shape[1] - 1])
    assert planes.low[0, -1] <= 0.25
    normal = normals(region, y, plane)
    distance = distance_to(x, normal, planes.gap[:, -1], planes.error[:, -1], threat)
    assert distance <= 0.25


def exact_length(row: Tensor) -> Fraction:
    return sum((Fraction(v) ** 2 for v in row.tolist()), Fraction(0))


@pytest.mark.parametrize("exponent", [-100, -150, -165, -200, -300, -307])
def test_lengths_of_small_rows_are_those_of_large_ones(exponent: int) -> None:
    threat = Threat(norm="l2", eps=1.0)
    rows = torch.randn(1, 20, 5, generator=torch.Generator().manual_seed(0)).double()
    rows *= 10.0**exponent
    ball = ball_of(torch.full((1, 5), 0.5).double(), threat, box=False)
    for row, fall in zip(rows[0], ball.deltas.support_below(rows)[0].tolist(), strict=True):
        assert fall > 0
        assert math.isclose(float(Fraction(fall) ** 2 / exact_length(row)), 1.0, rel_tol=1e-9)
