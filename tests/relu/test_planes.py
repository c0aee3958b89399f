"""Distances that rounding cannot make too large: against exact rational arithmetic."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from relu.layers import read_layers
from relu.networks import build
from relu.planes import distance_to, normals, planes_of, point_beyond
from relu.region import region_of
from relu.threat import NORMS, Norm, Threat


def exact_forms(net: nn.Sequential, x: Tensor, y: int) -> list[tuple[Fraction, list[Fraction]]]:
    """Gap and normal of every plane of x's region, without rounding."""
    rows: list[list[Fraction]] = [[Fraction(i == j) for j in range(len(x))] for i in range(len(x))]
    values = [Fraction(v) for v in x.tolist()]
    forms: list[tuple[Fraction, list[Fraction]]] = []
    linear = [m for m in net if isinstance(m, nn.Linear)]
    for m in linear:
        weight = [[Fraction(w) for w in row] for row in m.weight.tolist()]
        bias = [Fraction(b) for b in m.bias.tolist()]
        new = [sum((w * v for w, v in zip(row, values, strict=True)), b)
               for row, b in zip(weight, bias, strict=True)]  # fmt: skip
        v = [[sum((w * r[j] for w, r in zip(row, rows, strict=True)), Fraction(0))
              for j in range(len(x))] for row in weight]  # fmt: skip
        if m is linear[-1]:
            for s in range(len(new)):
                if s != y:
                    normal = [a - b for a, b in zip(v[y], v[s], strict=True)]
                    forms.append((new[y] - new[s], normal))
            return forms
        forms += list(zip(new, v, strict=True))
        on = [z > 0 for z in new]
        values = [z if a else Fraction(0) for z, a in zip(new, on, strict=True)]
        rows = [r if a else [Fraction(0)] * len(x) for r, a in zip(v, on, strict=True)]
    raise AssertionError


@pytest.mark.parametrize("norm", NORMS)
def test_computed_forms_are_within_the_stated_error_and_lows_below_the_exact_distance(
    norm: Norm,
) -> None:
    torch.manual_seed(0)
    net = build("fc10", (6,), 4).double().requires_grad_(False)
    for p in net.parameters():
        p.add_(torch.randn_like(p) / 100)
    net = nn.Sequential(*list(net)[:9], nn.Linear(104, 4).double().requires_grad_(False))
    net.get_parameter("1.weight").mul_(1000)  # large numbers cancel
    x = torch.rand(1, 6, dtype=torch.float64)
    layers, threat = read_layers(net, (6,)), Threat(norm=norm, eps=1.0)
    y = net(x).argmax(1)
    region = region_of(layers, x)
    planes = planes_of(region, y, threat)
    forms = exact_forms(net, x[0], int(y))
    assert len(forms) == planes.gap.shape[1]
    picked = torch.randperm(len(forms))[:60]
    rows = normals(region.at(torch.zeros_like(picked)), y.expand(60), picked)
    tight = 0
    for i, row in zip(picked.tolist(), rows, strict=True):
        gap, normal = forms[i]
        drift = sum(abs(Fraction(a) - b) for a, b in zip(row.tolist(), normal, strict=True))
        off = abs(Fraction(planes.gap[0, i].item()) - gap) + drift
        assert off <= Fraction(planes.error[0, i].item())
        length = {
            "linf": float(sum(abs(v) for v in normal)),
            "l2": float(sum(v * v for v in normal)) ** 0.5,
            "l1": float(max(abs(v) for v in normal)),
        }[norm]
        distance = float(abs(gap)) / length if length else torch.inf
        assert planes.low[0, i].item() <= distance
        tight += planes.low[0, i].item() >= distance * (1 - 1e-6)
    assert tight > 50


@pytest.mark.parametrize("norm", NORMS)
def test_points_beyond_are_beyond_and_not_far(norm: Norm) -> None:
    torch.manual_seed(1)
    threat, x = Threat(norm=norm, eps=1.0), torch.rand(50, 9, dtype=torch.float64)
    normal = torch.randn(50, 9, dtype=torch.float64)
    gap, error = torch.rand(50).double() / 4, torch.full((50,), 1e-9, dtype=torch.float64)
    low = distance_to(x, normal, gap, error, threat)
    z = point_beyond(x, normal, gap, error, threat)
    reached = ~z.isnan().any(1)
    value = gap + (normal * (z - x)).sum(1)
    assert (value[reached] < 0).all()
    distance = threat.distance(x, z)
    assert (low[reached] <= distance[reached]).all()
    assert torch.allclose(low[reached], distance[reached], atol=1e-7)
