from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from bench.parsing import NORMS
from relu.attacks.pgd import ascend, random_point
from relu.classes import margins
from relu.threat import Norm, Threat
from tests.strategies import images, seeds, threats

Linear = Callable[[Tensor, Tensor], nn.Sequential]


@settings(deadline=None)
@given(x=images(), threat=threats, seed=seeds)
def test_random_points_obey_the_threat(x: Tensor, threat: Threat, seed: int) -> None:
    z = random_point(x, threat, torch.Generator().manual_seed(seed))
    assert threat.in_box(z).all()
    rounding = threat.eps * 3e-6 + x.shape[1] * 1.2e-7  # of the sum, and of each pixel
    assert (threat.distance(x, z) <= threat.eps + rounding).all()


@pytest.mark.parametrize("norm", NORMS)
def test_random_points_fill_the_ball(norm: Norm) -> None:
    threat = Threat(norm=norm, eps=0.1)
    x = torch.full((4000, 3), 0.5)
    share = threat.distance(x, random_point(x, threat, torch.Generator().manual_seed(0))) / 0.1
    # A uniform point of a ball in d dimensions lies within radius s with probability s^d.
    for s in (0.5, 0.8, 0.95):
        assert (share <= s).float().mean().item() == pytest.approx(s**3, abs=0.03)


@pytest.mark.parametrize("norm", NORMS)
def test_the_steepest_step_has_length_one_and_gains_the_dual_norm(norm: Norm) -> None:
    threat = Threat(norm=norm, eps=1.0)
    grad = torch.randn(5, 12, dtype=torch.float64)
    step = threat.p_norm.ascent(grad, torch.full_like(grad, 0.5), threat.box)
    assert torch.allclose(threat.length(step), torch.ones(5, dtype=torch.float64))
    gain = (step * grad).sum(1)
    dual = torch.linalg.vector_norm(grad, ord=threat.q, dim=1)
    assert torch.allclose(gain, dual)  # for l1 with 12 pixels a single one moves


def test_an_l1_step_goes_where_the_box_leaves_room() -> None:
    grad = torch.tensor([[3.0, -2.0, 1.0]])
    z = torch.tensor([[1.0, 0.0, 0.5]])  # the two largest entries point out of the box
    threat = Threat(norm="l1", eps=1.0)
    assert threat.p_norm.ascent(grad, z, threat.box).tolist() == [[0.0, 0.0, 1.0]]


@pytest.mark.parametrize("norm", NORMS)
def test_a_linear_network_is_fooled_just_beyond_its_known_radius(
    norm: Norm, linear_net: Linear
) -> None:
    # Margin (w1 - w2).x + b over ||w1 - w2||_q: 0.24 / ||(2, -1)||_q here, at x = (0.5, 0.5).
    net = linear_net(torch.tensor([[2.0, -1.0], [0.0, 0.0]]), torch.tensor([-0.26, 0.0]))
    x = torch.full((1, 2), 0.5)
    y = torch.tensor([0])
    radius = (
        0.24
        / torch.linalg.vector_norm(
            torch.tensor([2.0, -1.0]), ord=Threat(norm=norm, eps=1.0).q
        ).item()
    )
    for factor, fooled in ((0.99, False), (1.03, True)):
        threat = Threat(norm=norm, eps=factor * radius)
        z, found = ascend(net, x, y, threat=threat, steps=40, leave_when_fooled=True)
        assert found.item() is fooled
        assert (margins(net(z), y) <= 0).item() is fooled


@pytest.mark.parametrize("norm", NORMS)
def test_without_leaving_every_input_ends_inside_with_a_higher_loss(
    norm: Norm, digits_net: nn.Sequential
) -> None:
    x = torch.rand(20, 1, 8, 8)
    y = digits_net(x).argmax(1)
    threat = Threat(norm=norm, eps={"linf": 0.05, "l2": 0.2, "l1": 0.5}[norm])
    z, found = ascend(digits_net, x, y, threat=threat, steps=10)
    assert not found.any()
    assert (threat.distance(x, z) <= threat.eps * (1 + 3e-6)).all()
    loss = nn.functional.cross_entropy
    assert loss(digits_net(z), y) > loss(digits_net(x), y)


def test_inputs_keep_their_place_when_others_leave(digits_net: nn.Sequential) -> None:
    x = torch.rand(60, 1, 8, 8)
    y = digits_net(x).argmax(1)
    y[::7] = (y[::7] + 1) % 10  # fooled from the start
    threat = Threat(norm="linf", eps=0.02)
    z, found = ascend(digits_net, x, y, threat=threat, steps=20, leave_when_fooled=True)
    assert found[::7].all()
    assert not found.all()
    assert torch.equal(found, margins(digits_net(z), y) <= 0)
    assert (threat.distance(x, z) <= 0.02 * (1 + 3e-6)).all()


def test_an_empty_batch_is_no_trouble(digits_net: nn.Sequential) -> None:
    x = torch.zeros(0, 1, 8, 8)
    y = torch.zeros(0, dtype=torch.long)
    for leave in (False, True):
        z, found = ascend(
            digits_net, x, y, threat=Threat(norm="l1", eps=1.0), steps=2, leave_when_fooled=leave
        )
        assert len(z) == len(found) == 0
