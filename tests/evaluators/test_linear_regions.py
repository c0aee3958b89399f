"""Where a margin is least in a linear region, against points that are drawn from it."""

import pytest
import torch
from torch import Tensor, nn

from evaluators._linear_regions import Regions
from evaluators._one_input import Input
from relu.network.reader import read_layers
from relu.threat import Norm, Threat

EPS: dict[Norm, float] = {"linf": 0.2, "l1": 0.5}


def problem(seed: int, norm: Norm) -> Input:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 3))
    net = net.double().requires_grad_(False)
    x = torch.rand(5, dtype=torch.float64)
    y = int(net(x).argmax())
    layers = read_layers(net, (5,))
    threat = Threat(norm=norm, eps=EPS[norm])
    return Input(net, layers, x, y, (5,), threat)


def pattern(one: Input, z: Tensor) -> Tensor:
    """Which units are active, at each point."""
    assert isinstance(one.net, nn.Sequential)
    first = one.net[0](z)
    second = one.net[2](first.clamp_min(0))
    return torch.cat([first > 0, second > 0], 1)


def drawn(one: Input, z: Tensor, count: int = 20000) -> Tensor:
    """Points of the ball around the input, near z and far."""
    noise = torch.randn(count, 5, dtype=torch.float64) * torch.rand(count, 1) ** 3
    return one.threat.inside(one.x.expand(count, 5), z + EPS[one.threat.norm] * noise)


@pytest.mark.parametrize("norm", EPS)
@pytest.mark.parametrize("seed", range(6))
def test_no_point_of_the_region_has_a_smaller_margin(seed: int, norm: Norm) -> None:
    one = problem(seed, norm)
    z = drawn(one, one.x, 1)[0]
    for s in one.other_classes(3):
        lowest = Regions(one, EPS[norm]).lowest(z, s)
        assert lowest is not None
        points = drawn(one, z)
        inside = points[(pattern(one, points) == pattern(one, z[None])).all(1)]
        assert len(inside) > 10
        logits = one.net(torch.cat([lowest[None], inside]))
        margins = logits[:, one.y] - logits[:, s]
        assert float(margins[0]) <= float(margins[1:].min()) + 1e-7
        assert one.distance(one.threat.inside(one.x[None], lowest[None])[0]) <= EPS[norm]
        assert float((one.threat.inside(one.x[None], lowest[None])[0] - lowest).abs().max()) < 1e-6


def test_networks_that_are_too_large_have_no_lowest_point(monkeypatch: pytest.MonkeyPatch) -> None:
    one = problem(0, "linf")
    monkeypatch.setattr("evaluators._linear_regions.LARGEST", 8)
    assert Regions(one, 0.1).lowest(one.x, one.other_classes(3)[0]) is None
