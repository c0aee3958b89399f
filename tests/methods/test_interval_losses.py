"""Losses on interval bounds: their formulas in numpy, their limits, their schedule, their start."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods._interval_training import interval_weights, stability
from methods._latent_attack import _linked
from methods._ramp import smooth_ramp
from methods._small_balls import small_balls
from methods.at import At
from methods.cc_ibp import CcIbp
from methods.crown_ibp import CrownIbp, fused_cross_entropy
from methods.exp_ibp import ExpIbp
from methods.ibp import Ibp
from methods.interface import Method
from methods.mtl_ibp import MtlIbp
from methods.relu_stability import stability_reward
from methods.sabr import Sabr
from methods.staps import Staps
from methods.taps import Taps
from relu.attacks.pgd import ascend
from relu.bounds.ball import ball_of
from relu.bounds.intervals import intervals
from relu.bounds.linear import margin_lower_bounds, relax
from relu.network.architectures import build
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.threat import Norm, Threat

LINF = Threat(norm="linf", eps=0.1)
NORMS: tuple[Norm, ...] = ("linf", "l2", "l1")
EPS = {"linf": 0.1, "l2": 0.4, "l1": 1.5}


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    return build("fc_small", (1, 4, 4), 5).double()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.rand(6, 1, 4, 4, dtype=torch.float64), torch.arange(6) % 5


def loss_of(method: Method, net: nn.Module, batch: Any, threat: Threat, progress: float) -> float:
    torch.manual_seed(3)
    x, y = batch
    return method.loss(net, x, y, threat=threat, progress=progress).item()


def weights_of(net: nn.Sequential) -> list[tuple[np.ndarray, np.ndarray]]:
    modules = [module for module in net if isinstance(module, nn.Linear)]
    return [(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in modules]


def margins_in_numpy(net: nn.Sequential, low: np.ndarray, high: np.ndarray, y: int) -> np.ndarray:
    """Interval bounds of f_y - f_s, unit by unit."""
    *hidden, (weight, bias) = weights_of(net)
    for w, b in hidden:
        least = np.maximum(w, 0) @ low + np.minimum(w, 0) @ high + b
        most = np.maximum(w, 0) @ high + np.minimum(w, 0) @ low + b
        low, high = np.maximum(least, 0), np.maximum(most, 0)
    rows = np.delete(weight[y] - weight, y, axis=0)
    gap = np.delete(bias[y] - bias, y)
    return np.maximum(rows, 0) @ low + np.minimum(rows, 0) @ high + gap


def worst(margins: np.ndarray) -> float:
    return math.log(1 + np.exp(-margins).sum())


def in_numpy(net: nn.Sequential, batch: tuple[Tensor, Tensor], eps: float) -> list[float]:
    x, y = batch
    losses = []
    for point, label in zip(x.flatten(1).numpy(), y.tolist(), strict=True):
        low = np.maximum(point - eps, 0)
        high = np.minimum(point + eps, 1)
        losses.append(worst(margins_in_numpy(net, low, high, label)))
    return losses


def test_ibp_is_its_formula(net: nn.Sequential, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    clean = F.cross_entropy(net(x), y).item()
    robust = np.mean(in_numpy(net, batch, 0.2))
    found = loss_of(Ibp(weight=0.7, scale=2.0), net, batch, LINF, 0.9)
    assert found == pytest.approx(0.7 * robust + 0.3 * clean)
    rising = smooth_ramp(0.2, 0.0, 0.4) * 0.1
    robust = np.mean(in_numpy(net, batch, rising))
    found = loss_of(Ibp(ramp=0.4, regulariser=0.0), net, batch, LINF, 0.2)
    assert found == pytest.approx(robust)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_expressive_losses_are_their_formulas(
    net: nn.Sequential, batch: tuple[Tensor, Tensor], alpha: float
) -> None:
    x, y = batch
    torch.manual_seed(3)
    z, _ = ascend(net, x, y, threat=LINF, steps=4)
    logits = net(z).detach().numpy()
    bounded = np.array(in_numpy(net, batch, 0.1))
    gaps = [np.delete(row[s] - row, s) for row, s in zip(logits, y.tolist(), strict=True)]
    attacked = np.array([worst(gap) for gap in gaps])
    bounds = [
        margins_in_numpy(net, np.maximum(p - 0.1, 0), np.minimum(p + 0.1, 1), s)
        for p, s in zip(x.flatten(1).numpy(), y.tolist(), strict=True)
    ]
    mixed = [worst(alpha * b + (1 - alpha) * g) for b, g in zip(bounds, gaps, strict=True)]
    expected: list[tuple[Method, float]] = [
        (MtlIbp(alpha=alpha, steps=4), float(np.mean(alpha * bounded + (1 - alpha) * attacked))),
        (ExpIbp(alpha=alpha, steps=4), float(np.mean(bounded**alpha * attacked ** (1 - alpha)))),
        (CcIbp(alpha=alpha, steps=4), float(np.mean(mixed))),
    ]
    for method, value in expected:
        assert loss_of(method, net, batch, LINF, 0.9) == pytest.approx(value), method


@pytest.mark.parametrize("norm", NORMS)
def test_the_limits_of_expressive_losses_are_ibp_and_pgd(
    net: nn.Sequential, batch: tuple[Tensor, Tensor], norm: Norm
) -> None:
    threat = Threat(norm=norm, eps=EPS[norm])
    ibp = loss_of(Ibp(), net, batch, threat, 0.9)
    pgd = loss_of(At(steps=3, share=1.0), net, batch, threat, 0.9)
    for method in (MtlIbp, CcIbp, ExpIbp):
        assert loss_of(method(alpha=1.0, steps=3), net, batch, threat, 0.9) == pytest.approx(ibp)
        assert loss_of(method(alpha=0.0, steps=3), net, batch, threat, 0.9) == pytest.approx(pgd)


@pytest.mark.parametrize("norm", NORMS)
def test_small_boxes_of_the_whole_size_are_ibp(
    net: nn.Sequential, batch: tuple[Tensor, Tensor], norm: Norm
) -> None:
    threat = Threat(norm=norm, eps=EPS[norm])
    for progress in (0.1, 0.9):
        ibp = loss_of(Ibp(), net, batch, threat, progress)
        assert loss_of(Sabr(share=1.0), net, batch, threat, progress) == pytest.approx(ibp)
        taps = loss_of(Taps(), net, batch, threat, progress)
        assert loss_of(Staps(share=1.0), net, batch, threat, progress) == pytest.approx(taps)
    assert loss_of(Sabr(share=0.2), net, batch, threat, 0.9) < ibp


@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
@pytest.mark.parametrize("norm", NORMS)
def test_small_balls_lie_in_ball_and_box(
    net: nn.Sequential, batch: tuple[Tensor, Tensor], norm: Norm, share: float
) -> None:
    x, y = batch
    threat = Threat(norm=norm, eps=EPS[norm])
    layers = read_layers(net, (1, 4, 4))
    ball = small_balls(net, layers, x, y, threat=threat, share=share, steps=3)
    points = to_vectors(layers, x)
    if norm == "linf":
        low = ball.center - ball.deltas.down
        high = ball.center + ball.deltas.up
        assert (low >= (points - 0.1).clamp_min(0) - 1e-12).all()
        assert (high <= (points + 0.1).clamp_max(1) + 1e-12).all()
        width = (points + 0.1).clamp_max(1) - (points - 0.1).clamp_min(0)
        assert torch.allclose(high - low, share * width)
    else:
        moved = threat.length((ball.center - points).view_as(x))
        assert (moved + ball.deltas.eps <= EPS[norm] + 1e-9).all()
        assert ((ball.center >= 0) & (ball.center <= 1)).all()


def test_sabr_is_its_formula(net: nn.Sequential, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    torch.manual_seed(3)
    z, _ = ascend(net, x, y, threat=LINF, steps=2)
    losses = []
    for point, example, label in zip(
        x.flatten(1).numpy(), z.flatten(1).numpy(), y.tolist(), strict=True
    ):
        low = np.maximum(point - 0.1, 0)
        high = np.minimum(point + 0.1, 1)
        tau = 0.3 * (high - low) / 2
        center = np.clip(example, low + tau, high - tau)
        losses.append(worst(margins_in_numpy(net, center - tau, center + tau, label)))
    found = loss_of(Sabr(share=0.3, steps=2), net, batch, LINF, 0.9)
    assert found == pytest.approx(np.mean(losses))


def test_taps_multiplies_the_losses_of_bounds_and_of_attacks_within_them(
    net: nn.Sequential, batch: tuple[Tensor, Tensor]
) -> None:
    bounded = np.array(in_numpy(net, batch, 0.1))
    assert loss_of(Taps(ramp=0.5), net, batch, LINF, 0.49) == pytest.approx(
        loss_of(Ibp(ramp=0.5), net, batch, LINF, 0.49)
    )
    product = loss_of(Taps(tail=1, steps=4), net, batch, LINF, 0.9)
    # One linear layer: PGD finds each rival's worst corner, so that both factors are the same.
    assert product == pytest.approx(np.mean(bounded**2))
    assert loss_of(Taps(tail=2, steps=20), net, batch, LINF, 0.9) < product


def test_what_moves_with_the_ends_of_an_interval() -> None:
    low = torch.tensor([[[0.0]]], requires_grad=True)
    high = torch.tensor([[[1.0]]], requires_grad=True)
    for point, to_low, to_high in ((1.0, 0, 1), (0.75, 0, 0.5), (0.5, 0, 0), (0.25, 0.5, 0)):
        linked = _linked(torch.tensor([[[point]]]), low, high)
        assert linked.item() == point
        slopes = torch.autograd.grad(linked.sum(), [low, high])
        assert [slope.item() for slope in slopes] == pytest.approx([to_low, to_high])


@pytest.mark.parametrize("norm", NORMS)
def test_crown_ibp_is_one_backward_pass_over_interval_bounds(
    net: nn.Sequential, batch: tuple[Tensor, Tensor], norm: Norm
) -> None:
    x, y = batch
    threat = Threat(norm=norm, eps=EPS[norm])
    layers = read_layers(net, (1, 4, 4))
    ball = ball_of(to_vectors(layers, x), threat)
    bounds = intervals(layers, ball)
    relaxed = relax(layers, ball, "crown", known=bounds.hidden)
    margins = margin_lower_bounds(relaxed, y)
    apart = np.array([worst(row) for row in margins.detach().numpy()])
    found = loss_of(CrownIbp(fused=False), net, batch, threat, 0.9)
    assert found == pytest.approx(apart.mean())
    assert loss_of(CrownIbp(last=0.0), net, batch, threat, 0.9) == pytest.approx(
        loss_of(Ibp(), net, batch, threat, 0.9)
    )
    fused = fused_cross_entropy(relaxed, *bounds.margin_ranges(y), y)
    assert fused.mean().item() == pytest.approx(loss_of(CrownIbp(), net, batch, threat, 0.9))
    z, _ = ascend(net, x, y, threat=threat, steps=20)
    assert (fused >= F.cross_entropy(net(z), y, reduction="none") - 1e-9).all()


def test_eps_rises_smoothly_from_nothing_to_all_of_it() -> None:
    values = [smooth_ramp(progress / 1000, 0.1, 0.4) for progress in range(1000)]
    assert values[0] == values[100] == 0
    assert values[499] < 1 == values[500] == values[999]
    steps = np.diff(values)
    assert (steps >= 0).all()
    assert np.abs(np.diff(steps))[:395].max() < 2e-4  # no kink before the end
    assert steps[250:480] == pytest.approx(steps[250])


@pytest.mark.parametrize("arch", ["cnn5", "resnet"])
def test_intervals_neither_explode_nor_vanish_where_training_begins(arch: str) -> None:
    widths = []
    for prepared in (False, True):
        torch.manual_seed(0)
        net = build(arch, (1, 8, 8), 10)
        if prepared:
            interval_weights(net)
        layers = read_layers(net.eval(), (1, 8, 8))
        ball = ball_of(to_vectors(layers, torch.rand(8, 1, 8, 8)), LINF)
        hidden = intervals(layers, ball).hidden
        widths.append([(h.high - h.low).mean().item() for h in hidden])
    usual, ours = widths
    assert usual[-1] / usual[0] > 10
    assert 0.2 < ours[-1] / ours[0] < 5


def test_the_regulariser_is_its_formula(net: nn.Sequential, batch: tuple[Tensor, Tensor]) -> None:
    x, _ = batch
    layers = read_layers(net, (1, 4, 4))
    ball = ball_of(to_vectors(layers, x), LINF)
    found = stability(intervals(layers, ball), ball).item()
    expected = 0.0
    low = np.maximum(x.flatten(1).numpy() - 0.1, 0)
    high = np.minimum(x.flatten(1).numpy() + 0.1, 1)
    first = (high - low).mean() / 2
    *hidden, _ = weights_of(net)
    for w, b in hidden:
        least = low @ np.maximum(w, 0).T + high @ np.minimum(w, 0).T + b
        most = high @ np.maximum(w, 0).T + low @ np.minimum(w, 0).T + b
        center = (least + most) / 2
        squares = (center - center.mean()) ** 2
        active, inactive = least > 0, most < 0
        means = center[active].sum(), -center[inactive].sum()
        spreads = squares[active].sum(), squares[inactive].sum()
        for ratio in (
            first / ((most - least).mean() / 2),
            min(means) / max(means),
            min(spreads) / max(spreads),
        ):
            expected += max(0.0, 0.5 - ratio) / 0.5
        low, high = np.maximum(least, 0), np.maximum(most, 0)
    assert found == pytest.approx(expected / len(hidden))
    gradients = torch.autograd.grad(
        stability(intervals(layers, ball), ball), next(net.parameters())
    )
    assert gradients[0].isfinite().all()


def test_the_regulariser_of_units_that_are_all_active_has_a_finite_gradient() -> None:
    net = build("fc_small", (1, 4, 4), 5)
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.endswith("bias"):
                p.fill_(100.0)
    layers = read_layers(net, (1, 4, 4))
    ball = ball_of(torch.rand(3, 16), LINF)
    stability(intervals(layers, ball), ball).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_the_reward_of_stable_units_is_its_formula(
    net: nn.Sequential, batch: tuple[Tensor, Tensor]
) -> None:
    x, _ = batch
    layers = read_layers(net, (1, 4, 4))
    bounds = intervals(layers, ball_of(to_vectors(layers, x), LINF))
    products = [(h.low * h.high).detach().numpy() for h in bounds.hidden]
    expected = sum(np.tanh(1 + product).sum() for product in products) / len(x)
    assert stability_reward(bounds).item() == pytest.approx(expected)
