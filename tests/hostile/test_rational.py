"""The exact oracle itself: against closed forms, another oracle, and points that are tried."""

import math
import random
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.parsing import NORMS
from relu.network.reader import in_float64
from relu.threat import Norm
from tests import oracles
from tests.hostile.radius import exact_radius
from tests.hostile.rational import (
    distance,
    farthest,
    floats,
    in_box,
    logits,
    margin,
    power,
    read,
    rounded,
    within,
)

UNIT = (0.0, 1.0)


def random_net(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    widths = [1 + seed % 3, *[2 + seed % 3] * (1 + seed % 2), 2 + seed % 3]
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias, std=0.4)
    return nn.Sequential(*layers[:-1]).requires_grad_(False)


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding"),
    [((2, 4, 5), 3, 2, 1), ((1, 1, 3), 4, 3, 2), ((3, 1, 1), 1, 2, 0), ((1, 2, 6), 2, 3, 1)],
)
def test_logits_are_those_of_torch(
    shape: tuple[int, ...], kernel: int, stride: int, padding: int
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(shape[0], 3, kernel, stride, padding),
        nn.ReLU(),
        nn.Conv2d(3, 2, 1, padding=1, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(4),
    ).double()
    x = torch.rand(5, *shape).double()
    expected = net(x)
    for image, row in zip(x, expected, strict=True):
        found = [float(v) for v in logits(read(net, shape), floats(image))]
        assert found == pytest.approx(row.tolist(), rel=1e-12, abs=1e-12)


def test_margins_are_not_rounded() -> None:
    # 2^53 x + 1 - 2^53 x: float64 loses the 1 at x = 1
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 2).double()).requires_grad_(False)
    net.load_state_dict(
        {"1.weight": torch.tensor([[2.0**53], [2.0**53]]), "1.bias": torch.tensor([1.0, 0.0])}
    )
    assert margin(read(net, (1,)), [1.0], 0) == 1
    assert float(net(torch.ones(1, 1).double()).diff()) == 0


@pytest.mark.parametrize(("norm", "expected"), [("linf", 0.25), ("l2", 0.125), ("l1", 0.5)])
def test_lengths_by_hand(norm: str, expected: float) -> None:
    assert distance([0.0, 0.5], [0.25, 0.25], norm) == Fraction(expected)
    assert rounded(Fraction(expected), norm) >= {"linf": 0.25, "l2": 0.125**0.5, "l1": 0.5}[norm]
    assert farthest([0.0, 0.5], (0.0, 1.0), norm) == {"linf": 1, "l2": 1.25, "l1": 1.5}[norm]


def test_a_length_is_compared_to_the_last_bit() -> None:
    z = [1e-200, 1e-200]
    near = rounded(distance([0.0, 0.0], z, "l2"), "l2")
    assert near == pytest.approx(2**0.5 * 1e-200, rel=1e-15)
    assert within([0.0, 0.0], z, near, "l2")
    assert not within([0.0, 0.0], z, math.nextafter(near, 0.0), "l2")
    assert within([0.0], [5.0], math.inf, "l1")


def test_the_box_has_no_slack() -> None:
    assert in_box([-0.1, 1.1], (-0.1, 1.1))
    assert not in_box([float(torch.tensor(-0.1))], (-0.1, 1.1))
    assert not in_box([math.nan], UNIT)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("box", [UNIT, (-1.0, 2.0)])
def test_the_radius_is_that_of_the_other_oracle(norm: Norm, box: tuple[float, float]) -> None:
    for seed in range(12):
        net = random_net(seed)
        d = net.get_parameter("1.weight").shape[1]
        x = torch.rand(d, generator=torch.Generator().manual_seed(seed))
        label = int(net(x.unsqueeze(0)).argmax())
        plain = [
            (m.weight.double().numpy(), m.bias.double().numpy())
            for m in net
            if isinstance(m, nn.Linear)
        ]
        expected = oracles.exact_radius(plain, x.double().numpy(), label, norm, box)
        found = exact_radius(read(net, (d,)), floats(x), label, norm, box)
        if found is None:
            assert np.isinf(expected)
        else:
            assert rounded(found, norm) == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("norm", NORMS)
def test_no_nearer_point_is_adversarial_and_the_ball_of_the_radius_holds_one(norm: Norm) -> None:
    draw = random.Random(0)
    for seed in range(6):
        net = random_net(seed)
        layers = read(net, (1 + seed % 3,))
        d = 1 + seed % 3
        x = floats(torch.rand(d, generator=torch.Generator().manual_seed(seed)))
        label = int(in_float64(net)(torch.tensor([x]).double()).argmax())
        found = exact_radius(layers, x, label, norm, UNIT)
        reach = found or farthest(x, UNIT, norm)
        for _ in range(300):
            z = [draw.random() if draw.random() < 0.8 else float(draw.randrange(2)) for _ in x]
            if margin(layers, z, label) <= 0:
                assert found is not None
                assert distance(x, z, norm) >= reach


def two_classes(weight: list[float], bias: float) -> nn.Sequential:
    layer = nn.Linear(len(weight), 2)
    layer.load_state_dict(
        {"weight": torch.tensor([weight, [0.0] * len(weight)]), "bias": torch.tensor([bias, 0.0])}
    )
    return nn.Sequential(nn.Flatten(), layer).requires_grad_(False)


def radius(net: nn.Sequential, x: list[float], norm: Norm) -> Fraction | None:
    return exact_radius(read(net, (len(x),)), x, 0, norm, UNIT)


def test_radii_by_hand() -> None:
    # margin z0 + 3 z1 + c at x = (1/2, 1/2), where z1 can fall by no more than 1/2
    net = two_classes([1.0, 3.0], 0.0)
    assert radius(two_classes([1.0, 3.0], -1.0), [0.5, 0.5], "linf") == Fraction(1, 4)
    assert radius(two_classes([1.0, 3.0], -1.0), [0.5, 0.5], "l1") == Fraction(1, 3)
    assert radius(two_classes([1.0, 3.0], -1.0), [0.5, 0.5], "l2") == Fraction(1, 10)
    expected: dict[Norm, Fraction] = {
        "linf": Fraction(1, 2),
        "l1": Fraction(1),
        "l2": Fraction(1, 2),
    }
    for norm, length in expected.items():
        assert radius(net, [0.5, 0.5], norm) == length
    assert radius(two_classes([1.0, 3.0], 0.125), [0.5, 0.5], "linf") is None


@pytest.mark.parametrize("norm", NORMS)
def test_ties_count(norm: Norm) -> None:
    assert radius(two_classes([0.0, 0.0], 0.0), [0.5, 0.5], norm) == 0
    assert radius(two_classes([1.0, 0.0], 0.0), [0.25, 0.5], norm) == power(0.25, norm)
    # relu(z0 - 1/2) - 0: tied wherever the unit is dead, from x at 3/4
    first = nn.Linear(2, 1)
    last = nn.Linear(1, 2)
    first.load_state_dict({"weight": torch.tensor([[1.0, 0.0]]), "bias": torch.tensor([-0.5])})
    last.load_state_dict({"weight": torch.tensor([[1.0], [0.0]]), "bias": torch.zeros(2)})
    net = nn.Sequential(first, nn.ReLU(), last).requires_grad_(False)
    assert radius(net, [0.75, 0.5], norm) == power(0.25, norm)


@pytest.mark.parametrize("norm", NORMS)
def test_duplicates_and_zero_rows_change_nothing(norm: Norm) -> None:
    for seed in (2, 5, 8):
        net = random_net(seed)
        x: Tensor = torch.rand(3, generator=torch.Generator().manual_seed(seed))
        label = int(net(x.unsqueeze(0)).argmax())
        wider = list(net)
        first = net[1]
        second = net[3]
        assert isinstance(first, nn.Linear)
        assert isinstance(second, nn.Linear)
        rows = torch.cat([first.weight, first.weight[:1], torch.zeros(1, 3)])
        bias = torch.cat([first.bias, first.bias[:1], torch.zeros(1)])
        columns = torch.cat([second.weight, torch.zeros(second.out_features, 2)], 1)
        more = nn.Linear(3, len(rows))
        after = nn.Linear(len(rows), second.out_features)
        more.load_state_dict({"weight": rows, "bias": bias})
        after.load_state_dict({"weight": columns, "bias": second.bias})
        wider[1] = more
        wider[3] = after
        given = floats(x), label, norm, UNIT
        assert exact_radius(read(net, (3,)), *given) == exact_radius(
            read(nn.Sequential(*wider), (3,)), *given
        )
