"""Interval bounds: those of the formula, never left by any point, and exact rationals inside."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from bench.parsing import NORMS
from relu.attacks.pgd import random_point
from relu.bounds.ball import ball_of
from relu.bounds.intervals import intervals
from relu.bounds.linear import margin_lower_bounds, relax
from relu.classes import gaps
from relu.network.activation import activated, logits_of
from relu.network.architectures import build
from relu.network.layers import Dense, Layer, to_vectors
from relu.network.reader import read_layers
from relu.threat import Norm, Threat

ARCHS = ["fc_small", "cnn_small", "cnn_leaky", "cnn_pool", "resnet", "cnn3"]
SHAPE = (1, 8, 8)


@pytest.mark.parametrize("box", [True, False])
@pytest.mark.parametrize("norm", sorted(NORMS))
@pytest.mark.parametrize("arch", ARCHS)
def test_no_point_of_the_ball_leaves_them(arch: str, norm: Norm, box: bool) -> None:
    torch.manual_seed(0)
    threat = Threat(norm=norm, eps={"linf": 0.05, "l2": 0.3, "l1": 1.0}[norm])
    net = build(arch, SHAPE, 10).double().eval()
    x = torch.rand(4, *SHAPE, dtype=torch.float64).mul(1.4).sub(0.2).clamp(0, 1)
    y = torch.arange(4)
    with torch.no_grad():
        layers = read_layers(net, SHAPE)
        found = intervals(layers, ball_of(to_vectors(layers, x), threat, box=box))
        for _ in range(50):
            z = to_vectors(layers, random_point(x, threat, None))
            margins = gaps(logits_of(layers, z), y)
            for layer, hidden in zip(layers[:-1], found.hidden, strict=True):
                z = layer.forward(z)
                assert ((hidden.low <= z) & (z <= hidden.high)).all()
                z = activated(layer, z)
            low, high = found.margin_ranges(y)
            assert ((low <= margins) & (margins <= high)).all()


@pytest.mark.parametrize("arch", ARCHS)
def test_they_are_the_formula_and_never_tighter_than_crown(arch: str) -> None:
    torch.manual_seed(0)
    net = build(arch, SHAPE, 10).double().eval()
    x = torch.rand(3, *SHAPE, dtype=torch.float64)
    y = torch.arange(3)
    with torch.no_grad():
        layers = read_layers(net, SHAPE)
        ball = ball_of(to_vectors(layers, x), Threat(norm="linf", eps=0.02))
        margins = intervals(layers, ball).margins(y)
        crown = margin_lower_bounds(relax(layers, ball, "crown", every=True), y)
    if arch in ("fc_small", "cnn_small"):
        assert torch.allclose(margins, _plainly(layers, ball.center, ball.deltas.up, y))
        assert (margins <= crown + 1e-9).all()


def _plainly(layers: Sequence[Layer], center: Tensor, radius: Tensor, y: Tensor) -> Tensor:
    """Bounds of chains by matrices, layer by layer."""
    matrices = [layer.rows(torch.arange(layer.size)) for layer in layers]
    for layer, weight in zip(layers[:-1], matrices, strict=False):
        middle = layer.forward(center)
        wide = radius @ weight.abs().T
        low = (middle - wide).clamp_min(0)
        high = (middle + wide).clamp_min(0)
        center = (low + high) / 2
        radius = (high - low) / 2
    margins = []
    for i, label in enumerate(y.tolist()):
        rows = matrices[-1][label] - matrices[-1]
        fall = layers[-1].forward(center[i : i + 1])[0]
        found = fall[label] - fall - rows.abs() @ radius[i]
        margins.append(torch.cat([found[:label], found[label + 1 :]]))
    return torch.stack(margins)


@pytest.mark.parametrize("scale", [1e-160, 1e-40, 1.0, 1e60])
@pytest.mark.parametrize("seed", range(5))
def test_rounding_never_makes_them_tighter_than_exact_arithmetic(seed: int, scale: float) -> None:
    torch.manual_seed(seed)
    widths = [3, 6, 5, 4]
    layers = [
        Dense(scale * torch.randn(n_out, n_in).double(), scale * torch.randn(n_out).double())
        for n_in, n_out in pairwise(widths)
    ]
    x = torch.rand(1, 3, dtype=torch.float64)
    y = torch.tensor([seed % 4])
    ball = ball_of(x, Threat(norm="linf", eps=0.1), box=False)
    found = intervals(layers, ball)
    low, high = found.margin_ranges(y)
    exact = _exactly(layers, x[0].tolist(), 0.1, int(y))
    for i, (least, most) in enumerate(exact):
        assert Fraction(low[0, i].item()) <= least
        assert Fraction(high[0, i].item()) >= most
        if scale == 1.0:
            assert float(least) - low[0, i].item() < 1e-11


@pytest.mark.parametrize("seed", range(5))
def test_terms_that_cancel_leave_room_for_their_rounding(seed: int) -> None:
    torch.manual_seed(seed)
    row = torch.randn(40, dtype=torch.float64) * 2.0**40
    weight = torch.cat([row, -row * (1 + 2.0**-52)]).unsqueeze(0)
    layers = [
        Dense(weight, torch.zeros(1, dtype=torch.float64)),
        Dense(torch.ones(2, 1, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)),
    ]
    x = torch.rand(1, 80, dtype=torch.float64)
    x[0, 40:] = x[0, :40]
    (hidden,) = intervals(layers, ball_of(x, Threat(norm="linf", eps=1e-18), box=False)).hidden
    terms = zip(weight[0].tolist(), x[0].tolist(), strict=True)
    exact = sum((Fraction(w) * Fraction(v) for w, v in terms), Fraction(0))
    assert Fraction(hidden.low.item()) <= exact <= Fraction(hidden.high.item())


def _exactly(
    layers: Sequence[Dense], x: list[float], eps: float, label: int
) -> list[tuple[Fraction, Fraction]]:
    """Ranges of the margins by interval arithmetic in rationals."""
    low = [Fraction(value) - Fraction(eps) for value in x]
    high = [Fraction(value) + Fraction(eps) for value in x]
    for i, layer in enumerate(layers[:-1]):
        if i:
            low = [max(value, Fraction(0)) for value in low]
            high = [max(value, Fraction(0)) for value in high]
        rows = [[Fraction(w) for w in row] for row in layer.weight.tolist()]
        bias = [Fraction(b) for b in layer.bias.tolist()]
        ranges = [_range(row, low, high) for row in rows]
        low = [least + b for (least, _), b in zip(ranges, bias, strict=True)]
        high = [most + b for (_, most), b in zip(ranges, bias, strict=True)]
    low = [max(value, Fraction(0)) for value in low]
    high = [max(value, Fraction(0)) for value in high]
    rows = [[Fraction(w) for w in row] for row in layers[-1].weight.tolist()]
    bias = [Fraction(b) for b in layers[-1].bias.tolist()]
    ranges = []
    for s in range(len(rows)):
        if s != label:
            row = [a - b for a, b in zip(rows[label], rows[s], strict=True)]
            least, most = _range(row, low, high)
            gap = bias[label] - bias[s]
            ranges.append((least + gap, most + gap))
    return ranges


def _range(
    row: list[Fraction], low: list[Fraction], high: list[Fraction]
) -> tuple[Fraction, Fraction]:
    ends = [(w * a, w * b) for w, a, b in zip(row, low, high, strict=True)]
    return (
        sum((min(pair) for pair in ends), Fraction(0)),
        sum((max(pair) for pair in ends), Fraction(0)),
    )
