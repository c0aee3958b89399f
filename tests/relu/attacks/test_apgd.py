"""APGD: its losses and checkpoints by hand, what it never does, and what it finds."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from bench.parsing import NORMS
from relu.attacks import pgd
from relu.attacks.apgd import ascend, likeliest, loss_of
from relu.attacks.ascents import checkpoints, sparse_signs
from relu.classes import margins
from relu.threat import Norm, Threat
from tests.relu.attacks.problems import inputs_of, radii, tiny
from tests.strategies import seeds, tiny_nets

Linear = Callable[[Tensor, Tensor], nn.Sequential]
LOGITS = torch.tensor([[5.0, 1.0, 3.0, 2.0, -1.0]])
ZERO = torch.tensor([0])
EPS: dict[Norm, float] = {"linf": 0.05, "l2": 0.3, "l1": 1.0}


def towards_all(net: nn.Module, x: Tensor, y: Tensor, threat: Threat) -> bool:
    """Whether ascents towards all other classes fool the one input."""
    targets = likeliest(net(x), y, 9)
    _, fooled = ascend(net, x, y, threat=threat, steps=30, loss="margin", targets=targets)
    return bool(fooled)


def test_losses_by_hand() -> None:
    assert loss_of(LOGITS, ZERO, "margin").item() == -2
    assert loss_of(LOGITS, ZERO, "dlr").item() == pytest.approx(-2 / 3)  # over 5 - 2
    assert loss_of(LOGITS, ZERO, "margin", torch.tensor([3])).item() == -3
    assert loss_of(LOGITS, ZERO, "dlr", torch.tensor([3])).item() == pytest.approx(-3 / 3.5)
    expected = -math.log(math.exp(5) / sum(map(math.exp, LOGITS[0].tolist())))
    assert loss_of(LOGITS, ZERO, "ce").item() == pytest.approx(expected)


@pytest.mark.parametrize("factor", [1e-3, 1e6])
def test_the_ratio_does_not_change_with_the_scale_of_the_logits(factor: float) -> None:
    for target in (None, torch.tensor([2])):
        ratio = loss_of(LOGITS, ZERO, "dlr", target)
        assert torch.allclose(loss_of(factor * LOGITS, ZERO, "dlr", target), ratio)


def test_of_too_few_classes_the_margin_is_the_ratio() -> None:
    assert loss_of(LOGITS[:, :2], ZERO, "dlr").item() == -4
    assert loss_of(LOGITS[:, :3], ZERO, "dlr", torch.tensor([1])).item() == -4


def test_the_likeliest_classes_leave_out_the_label() -> None:
    assert likeliest(LOGITS, ZERO, 2).tolist() == [[2, 3]]
    assert likeliest(LOGITS, torch.tensor([2]), 9).tolist() == [[0, 3, 1, 4]]


def test_checkpoints_of_a_hundred_steps_are_those_of_the_paper() -> None:
    assert list(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]


def test_sparse_signs_move_the_steepest_pixels() -> None:
    gradient = torch.tensor([[0.1, -3.0, 2.0, 0.5], [4.0, -1.0, 0.0, 0.0]])
    moves = sparse_signs(gradient, torch.tensor([2.0, 0.3]))
    assert moves.tolist() == [[0.0, -0.5, 0.5, 0.0], [1.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("norm", NORMS)
def test_a_linear_network_is_fooled_just_beyond_its_known_radius(
    norm: Norm, targeted: bool, linear_net: Linear
) -> None:
    # Margin (w1 - w2).x + b over ||w1 - w2||_q: 0.24 / ||(2, -1)||_q here, at x = (0.5, 0.5).
    net = linear_net(torch.tensor([[2.0, -1.0], [0.0, 0.0]]), torch.tensor([-0.26, 0.0]))
    x = torch.full((1, 2), 0.5)
    q = Threat(norm=norm, eps=1.0).q
    radius = 0.24 / torch.linalg.vector_norm(torch.tensor([2.0, -1.0]), ord=q).item()
    targets = torch.tensor([[1]]) if targeted else None
    for factor, expected in ((0.99, False), (1.03, True)):
        threat = Threat(norm=norm, eps=factor * radius)
        z, fooled = ascend(net, x, ZERO, threat=threat, steps=40, loss="dlr", targets=targets)
        assert fooled.item() is expected
        assert (margins(net(z), ZERO) <= 0).item() is expected


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=25, deadline=None)
@given(drawn=tiny_nets(), seed=seeds)
def test_points_obey_the_threat_and_fool_where_it_is_said(
    norm: Norm, drawn: tuple[nn.Sequential, int], seed: int
) -> None:
    net, x, y = inputs_of(drawn, seed)
    threat = Threat(norm=norm, eps=0.4)
    z, fooled = ascend(net, x, y, threat=threat, steps=12, loss="ce")
    assert threat.in_box(z).all()
    assert (threat.distance(x, z) <= 0.4 * (1 + 3e-6)).all()
    assert (margins(net(z), y)[fooled] <= 0).all()


@pytest.mark.parametrize("norm", ["linf", "l1"])
def test_tiny_networks_are_fooled_beyond_their_exact_radii_and_not_within(norm: Norm) -> None:
    net, x, y = tiny(0)
    exact = radii(net, x, y, norm)
    assert exact.isfinite().all()
    found = 0
    for i, radius in enumerate(exact.tolist()):
        within, beyond = (Threat(norm=norm, eps=f * radius) for f in (0.999, 1.05))
        one = slice(i, i + 1)
        assert not towards_all(net, x[one], y[one], within)
        found += any(towards_all(net, x[one], y[one], beyond) for _ in range(4))
    assert found >= 0.9 * len(x)


@pytest.mark.parametrize("norm", NORMS)
def test_at_equal_steps_it_fools_at_least_as_many_as_pgd(
    norm: Norm, digits_net: nn.Sequential
) -> None:
    x = torch.rand(300, 1, 8, 8)
    y = digits_net(x).argmax(1)
    threat = Threat(norm=norm, eps=EPS[norm])
    ours = theirs = 0
    for _ in range(3):
        _, fooled = ascend(digits_net, x, y, threat=threat, steps=50, loss="margin")
        ours += int(fooled.sum())
        _, fooled = pgd.ascend(
            digits_net, x, y, threat=threat, steps=50, loss="margin", leave_when_fooled=True
        )
        theirs += int(fooled.sum())
    assert 0 < ours < 3 * len(x)
    assert ours >= theirs


def test_fooled_inputs_leave_the_batch_with_all_their_ascents(digits_net: nn.Sequential) -> None:
    seen: list[int] = []

    class Counting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(len(x))
            return torch.as_tensor(digits_net(x))

    x = torch.rand(40, 1, 8, 8)
    y = digits_net(x).argmax(1)
    y[::2] = (y[::2] + 1) % 10
    z, fooled = ascend(
        Counting(),
        x,
        y,
        threat=Threat(norm="linf", eps=0.01),
        steps=20,
        loss="dlr",
        targets=likeliest(digits_net(x), y, 3),
    )
    assert seen[0] == 120
    assert seen[1] <= 60
    assert fooled[::2].all()
    assert torch.equal(fooled, margins(digits_net(z), y) <= 0)
    assert all(after <= before for before, after in pairwise(seen))


def test_ascents_go_on_from_where_they_are_told(digits_net: nn.Sequential) -> None:
    x = torch.rand(20, 1, 8, 8)
    y = digits_net(x).argmax(1)
    threat = Threat(norm="l2", eps=0.1)
    first, _ = ascend(digits_net, x, y, threat=threat, steps=3, loss="margin")
    again, _ = ascend(digits_net, x, y, threat=threat, steps=9, loss="margin", start=first)
    before, after = (loss_of(digits_net(z), y, "margin") for z in (first, again))
    assert (after >= before - 1e-6).all()
    assert (after > before).any()


def test_an_empty_batch_is_no_trouble(digits_net: nn.Sequential) -> None:
    x = torch.zeros(0, 1, 8, 8)
    y = torch.zeros(0, dtype=torch.long)
    z, fooled = ascend(digits_net, x, y, threat=Threat(norm="l1", eps=1.0), steps=2, loss="ce")
    assert len(z) == len(fooled) == 0
