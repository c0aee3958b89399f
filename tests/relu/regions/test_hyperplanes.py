"""Distances that rounding cannot make too large: against exact rational arithmetic."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from bench.parsing import NORMS
from relu.network.architectures import build
from relu.network.layers import Dense
from relu.network.reader import read_layers
from relu.regions.hyperplanes import distance_to, normals, planes_of, point_beyond
from relu.regions.region import Region, region_of
from relu.threat import Norm, Threat


def exact_forms(region: Region, y: int) -> list[tuple[Fraction, list[Fraction]]]:
    """Gap and normal of every plane of a region of one input, without rounding."""
    x = region.x[0]
    rows: list[list[Fraction]] = [[Fraction(i == j) for j in range(len(x))] for i in range(len(x))]
    values = [Fraction(v) for v in x.tolist()]
    forms: list[tuple[Fraction, list[Fraction]]] = []
    for number, m in enumerate(region.layers):
        assert isinstance(m, Dense)
        weight = [[Fraction(w) for w in row] for row in m.weight.tolist()]
        bias = [Fraction(b) for b in m.bias.tolist()]
        new = [
            sum((w * v for w, v in zip(row, values, strict=True)), b)
            for row, b in zip(weight, bias, strict=True)
        ]
        v = [
            [
                sum((w * r[j] for w, r in zip(row, rows, strict=True)), Fraction(0))
                for j in range(len(x))
            ]
            for row in weight
        ]
        if number == len(region.slopes):
            for s in range(len(new)):
                if s != y:
                    normal = [a - b for a, b in zip(v[y], v[s], strict=True)]
                    forms.append((new[y] - new[s], normal))
            return forms
        forms += list(zip(new, v, strict=True))
        on = (region.slopes[number][0] > 0).tolist()
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
    layers = read_layers(net, (6,))
    threat = Threat(norm=norm, eps=1.0)
    y = net(x).argmax(1)
    region = region_of(layers, x)
    planes = planes_of(region, y, threat)
    forms = exact_forms(region, int(y))
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
    threat = Threat(norm=norm, eps=1.0)
    x = torch.rand(50, 9, dtype=torch.float64)
    normal = torch.randn(50, 9, dtype=torch.float64)
    gap = torch.rand(50).double() / 4
    error = torch.full((50,), 1e-9, dtype=torch.float64)
    low = distance_to(x, normal, gap, error, threat)
    z = point_beyond(x, normal, gap, error, threat)
    reached = ~z.isnan().any(1)
    value = gap + (normal * (z - x)).sum(1)
    assert (value[reached] < 0).all()
    distance = threat.distance(x, z)
    assert (low[reached] <= distance[reached]).all()
    assert torch.allclose(low[reached], distance[reached], atol=1e-7)


def exact_low(plane: tuple[Fraction, list[Fraction]], norm: Norm) -> Fraction:
    """The distance to a plane without a box (l2: its square)."""
    gap, normal = plane
    sizes = [abs(v) for v in normal]
    if norm == "l2":
        return gap * gap / sum((v * v for v in sizes), Fraction(0))
    return abs(gap) / (max(sizes) if norm == "l1" else sum(sizes, Fraction(0)))


def require_lows(net: nn.Sequential, x: Tensor, norm: Norm) -> None:
    """No distance is above the exact one, and every form is within its error."""
    layers = read_layers(net, (x.shape[1],))
    y = net(x).argmax(1)
    threat = Threat(norm=norm, eps=1.0)
    region = region_of(layers, x)
    found = planes_of(region, y, threat)
    forms = exact_forms(region, int(y))
    every = torch.arange(len(forms))
    rows = normals(region.at(torch.zeros_like(every)), y.expand(len(forms)), every)
    boxed = distance_to(x.expand(len(forms), -1), rows, found.gap[0], found.error[0], threat)
    for i, form in enumerate(forms):
        exact = exact_low(form, norm)
        assert Fraction(float(found.low[0, i])) ** (1 + (norm == "l2")) <= exact
        if float(exact) < 1e-6:  # too near for the box to matter
            assert Fraction(float(boxed[i])) ** (1 + (norm == "l2")) <= exact
        drift = sum(abs(Fraction(a) - b) for a, b in zip(rows[i].tolist(), form[1], strict=True))
        off = abs(Fraction(float(found.gap[0, i])) - form[0]) + drift
        assert off <= Fraction(float(found.error[0, i]))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(20))
def test_planes_whose_gaps_cancel_are_not_too_far(seed: int, norm: Norm) -> None:
    # Large terms whose sum is near 0 at x: what float64 makes of it is mostly rounding.
    torch.manual_seed(seed)
    x = torch.rand(1, 4).double()
    first, second, last = (nn.Linear(a, b).double() for a, b in ((4, 20), (20, 8), (8, 3)))
    net = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last).requires_grad_(False)
    first.bias.add_(3)
    second.weight.mul_(1e9)
    given = [Fraction(v) for v in net[:2](x)[0].tolist()]
    for unit, row in enumerate(second.weight[:6].tolist()):
        exact = sum((Fraction(w) * v for w, v in zip(row, given, strict=True)), Fraction(0))
        second.bias[unit] = -float(exact)
    second.bias[6:].add_(1e10)  # not all of them may be dead
    require_lows(net, x, norm)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(20))
def test_planes_whose_normals_cancel_are_not_too_far(seed: int, norm: Norm) -> None:
    # Pairs of rows that are nearly the same, and large weights of opposite signs on them.
    torch.manual_seed(seed)
    x = torch.rand(1, 4).double()
    first, second, last = (nn.Linear(a, b).double() for a, b in ((4, 8), (8, 6), (6, 2)))
    net = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last).requires_grad_(False)
    first.bias.add_(3)
    first.weight[4:] = first.weight[:4] * (1 + 2.0**-51)
    first.bias[4:] = first.bias[:4]
    second.weight[:, :4] = 1e9 * torch.rand(6, 4)
    second.weight[:, 4:] = -second.weight[:, :4]
    second.bias.add_(50)
    require_lows(net, x, norm)


COARSE = 2.0**-7  # a relative rounding error that shows


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(20))
def test_no_rounding_term_of_planes_is_left_out(
    seed: int, norm: Norm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relu.regions.hyperplanes.gamma", lambda layers, d: COARSE)
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 3)
    ).double()
    net.requires_grad_(False)
    threat = Threat(norm=norm, eps=1.0, box=(-1.0, 2.0))
    x = torch.rand(1, 4).double()
    layers = read_layers(net, (4,))
    y = net(x).argmax(1)
    region = region_of(layers, x)
    found = planes_of(region, y, threat)
    most = torch.full((4,), 2.0).double()
    gaps = list[Tensor]()
    rows = list[Tensor]()
    # with and without biases
    values = most
    lengths = most
    for layer, on in zip(layers, [*region.slopes, None], strict=True):
        assert isinstance(layer, Dense)
        weight = layer.weight.abs()
        bias = layer.bias.abs()
        values = weight @ values + bias
        lengths = weight @ lengths
        if on is not None:
            gaps = [*gaps, values]
            rows = [*rows, lengths]
            values = values * on[0]
            lengths = lengths * on[0]
    other_classes = [s for s in range(3) if s != int(y)]
    gap_error = COARSE * torch.cat([*gaps, values[y] + values[other_classes]])
    row_error = COARSE * torch.cat([*rows, lengths[y] + lengths[other_classes]])
    power = {"linf": 1.0, "l2": 2.0, "l1": torch.inf}[norm]
    exact = [[float(v) for v in normal] for _, normal in exact_forms(region, int(y))]
    length = torch.linalg.vector_norm(torch.tensor(exact, dtype=torch.float64), ord=power, dim=1)
    low = (found.gap[0].abs() - gap_error).clamp_min(0) / (length + row_error)
    assert (found.low[0] <= low * (1 + 1e-12)).all()
    assert (found.low[0] > 0).any()
    assert (found.error[0] >= (gap_error + 3 * row_error) * (1 - 1e-12)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_distances_are_rounded_down(norm: Norm, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 3)).double().requires_grad_(False)
    x = torch.rand(1, 4).double()
    layers = read_layers(net, (4,))
    threat = Threat(norm=norm, eps=1.0)
    y = net(x).argmax(1)
    region = region_of(layers, x)

    def lows() -> tuple[Tensor, Tensor]:
        found = planes_of(region, y, threat)
        which = torch.zeros(1, dtype=torch.long)
        normal = normals(region, y, which)
        near = distance_to(x, normal, normal.new_full((1,), 0.01), normal.new_zeros(1), threat)
        return found.low, near

    plain = lows()
    monkeypatch.setattr("relu.regions.hyperplanes.PLANE_ROUNDING", 0.25)
    for one, other in zip(plain, lows(), strict=True):
        assert (other > 0).any()
        assert torch.allclose(other, 0.75 * one, rtol=1e-6)
