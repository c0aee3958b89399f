"""What units of a layer lose together: bounds against points, the published offset, and nets."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from relu.bounds.alpha_crown import tightest_margins
from relu.bounds.ball import ball_of
from relu.bounds.coupling import Coupling
from relu.bounds.linear import margin_lower_bounds, relax
from relu.bounds.lipschitz import largest_singular_values
from relu.network.activation import crossing, logits_of
from relu.network.architectures import build
from relu.network.reader import read_layers
from relu.rounding import UNIT
from relu.threat import Norm, Threat
from tests.relu.bounds.test_maxima import network, states

SIZE = 12
WIDE = nn.Sequential(nn.Flatten(), nn.Linear(64, 200), nn.ReLU(), nn.Linear(200, 4))


def coupling(seed: int, *, leak: float, scale: float = 1.0, unit: float = 0.0) -> Coupling:
    """Of two inputs: centers in boxes, half of whose units may switch; a reference anywhere."""
    draw = torch.Generator().manual_seed(seed)
    ends = torch.randn(2, 2, SIZE, generator=draw).double()
    low, high = ends.amin(0) * scale, ends.amax(0) * scale
    center = low + (high - low) * torch.rand(2, SIZE, generator=draw)
    z, given = torch.randn(2, 2, SIZE, generator=draw).double() * scale
    radius = torch.rand(2, generator=draw).double() * 2 * scale
    return Coupling(
        center=center,
        radius=radius,
        low=low,
        high=high,
        open=crossing(low, high),
        z=z,
        given=given,
        slack=torch.zeros_like(z),
        leak=torch.full((SIZE,), leak).double(),
        unit=unit,
    )


def lowest(where: Coupling, rows: Tensor, gated: Tensor, z: Tensor) -> Tensor:
    """What open units' rows lose at points z (n x m x size): n x k x m."""
    open_ = where.open.unsqueeze(1)
    act = torch.where(z > 0, z, where.leak * z) if where.leak is not None else z.clamp_min(0)
    at = (rows * open_) @ act.mT - (gated * open_) @ z.mT
    reference = (rows * open_) @ where.given.unsqueeze(2) - (gated * open_) @ where.z.unsqueeze(2)
    return reference - at


@pytest.mark.parametrize("leak", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(10))
def test_no_point_of_ball_and_box_loses_more(seed: int, leak: float) -> None:
    where = coupling(seed, leak=leak)
    torch.manual_seed(seed)
    rows = torch.randn(2, 5, SIZE).double()
    gated = rows * torch.rand(2, 5, SIZE)
    loss = where.loss(rows, gated)
    low, high = where.low.unsqueeze(1), where.high.unsqueeze(1)
    points = low + (high - low) * torch.rand(2, 20_000, SIZE).double()
    moved = points - where.center.unsqueeze(1)
    far = (moved * where.open.unsqueeze(1)).norm(dim=2, keepdim=True)
    shrunk = where.center.unsqueeze(1) + moved * (where.radius.view(2, 1, 1) / far).clamp_max(1)
    inside = ((shrunk >= low) & (shrunk <= high) | ~where.open.unsqueeze(1)).all(2)
    assert inside.any()
    lost = lowest(where, rows, gated, shrunk).masked_fill(~inside.unsqueeze(1), -torch.inf)
    assert bool((lost.amax(2) <= loss + 1e-9).all())


@pytest.mark.parametrize("seed", range(20))
def test_the_offset_is_at_least_the_published_one(seed: int) -> None:
    """But for what few lambdas miss: SDP-CROWN's [CHZ25, Theorem 4.1], at the best of many."""
    where = coupling(seed, leak=0.0)
    where = Coupling(**{**vars(where), "low": where.low - 9, "high": where.high + 9})
    where = Coupling(**{**vars(where), "open": crossing(where.low, where.high)})
    torch.manual_seed(seed)
    rows = torch.randn(2, 4, SIZE).double()
    gated = rows * torch.rand(2, 4, SIZE)
    nothing = torch.zeros_like(where.z)
    where = Coupling(**{**vars(where), "z": nothing, "given": nothing})
    ours = -where.loss(rows, gated)
    center = where.center.unsqueeze(1)
    published = torch.full_like(ours, -torch.inf)
    for exponent in range(-40, 41):
        multiplier = 1.25**exponent
        phi = torch.minimum(rows - gated - multiplier * center, gated + multiplier * center)
        phi = phi.clamp_max(0)
        squared = (where.radius.square() - where.center.square().sum(1)).unsqueeze(1)
        offset = -(multiplier * squared + phi.square().sum(2) / multiplier) / 2
        published = published.maximum(offset)
    assert bool((ours >= published - 0.12 * published.abs() - 0.05).all())


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize("seed", range(4))
def test_rounding_makes_no_loss_too_small(seed: int, scale: float) -> None:
    """In exact arithmetic, at the points where the bound is attained: one unit, no way out."""
    where = coupling(seed, leak=0.25, scale=scale, unit=8 * 40 * UNIT)
    open_ = where.open.nonzero()[0]
    i, u = int(open_[0]), int(open_[1])
    only = torch.zeros_like(where.open)
    only[i, u] = True
    ends = where.center.clone()
    ends[i, u] = where.low[i, u]
    where = Coupling(**{**vars(where), "open": only, "center": ends})
    torch.manual_seed(seed)
    rows = torch.randn(2, 3, SIZE).double()
    gated = rows * torch.rand(2, 3, SIZE)
    loss = where.loss(rows, gated)
    z = Fraction(float(where.low[i, u]))
    for k in range(3):
        r = Fraction(float(rows[i, k, u]))
        g = Fraction(float(gated[i, k, u]))
        reference = r * Fraction(float(where.given[i, u])) - g * Fraction(float(where.z[i, u]))
        assert Fraction(float(loss[i, k])) >= reference - (r * z / 4 - g * z)


@pytest.mark.parametrize("pool", ["relu, pool", "overlapping"])
def test_pre_activations_stay_within_their_distance(pool: str) -> None:
    layers = network(pool, seed=4)
    x = torch.rand(3, 64).double()
    threat = Threat(norm="l2", eps=0.5)
    largest = largest_singular_values(layers, squarings=6)
    relaxed = relax(layers, ball_of(x, threat), "crown", largest=largest)
    coupled = [(i, lines.coupling) for i, lines in enumerate(relaxed.lines) if lines.coupling]
    assert coupled
    for _ in range(100):
        delta = threat.p_norm.project_between(torch.randn(3, 64).double(), -x, 1 - x, 0.5)
        _, before = states(layers, x + delta)
        for i, where in coupled:
            assert bool(((before[i] - where.center).norm(dim=1) <= where.radius).all())


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("arch", ["wide", "cnn_small", "cnn_pool", "resnet"])
def test_margins_are_better_and_hold(arch: str, norm: Norm) -> None:
    torch.manual_seed(5)
    net = WIDE if arch == "wide" else build(arch, (1, 8, 8), 4)
    layers = read_layers(net.double().requires_grad_(False), (1, 8, 8))
    x = torch.rand(4, 64).double()
    y = logits_of(layers, x).argmax(1)
    threat = Threat(norm=norm, eps=0.4 if norm == "l2" else 1.5)
    ball = ball_of(x, threat)
    largest = largest_singular_values(layers, squarings=6)
    with torch.no_grad():
        alone = margin_lower_bounds(relax(layers, ball, "crown"), y)
        together = margin_lower_bounds(relax(layers, ball, "crown", largest=largest), y)
        best = tightest_margins(layers, ball, y, iterations=3, largest=largest)
    assert bool((together >= alone - 1e-2 * alone.abs()).all())  # other bounds, other slopes
    if arch == "wide" and norm == "l2":
        assert bool((together > alone + 1e-3).all())
    others = torch.tensor([[s for s in range(4) if s != label] for label in y.tolist()])
    for _ in range(40):
        step = torch.randn(4, 64).double() * 10.0 ** float(torch.randint(-1, 2, ()))
        delta = threat.p_norm.project_between(step, -x, 1 - x, float(threat.eps))
        logits = logits_of(layers, x + delta)
        margins = logits.gather(1, y.unsqueeze(1)) - logits.gather(1, others)
        assert bool((margins >= best).all())
        assert bool((margins >= together).all())
