"""FAB: closed forms on linear networks, exact radii of tiny ones, and what it never does."""

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from bench.parsing import NORMS
from relu.attacks.apgd import likeliest
from relu.attacks.fab import nearest_adversarial
from relu.classes import margins, others
from relu.regions.box_projection import nearest_on_hyperplanes
from relu.threat import Norm, Threat
from tests.relu.attacks.problems import inputs_of, radii, tiny
from tests.strategies import seeds, tiny_nets

SMALL = 1e-6  # an eps that no walk gets within, so that none ends early


@pytest.mark.parametrize("norm", NORMS)
def test_on_a_linear_network_it_reaches_the_nearest_hyperplane_in_the_box(norm: Norm) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 4, dtype=torch.float64).requires_grad_(False)
    x = torch.rand(40, 6).double()
    y = layer(x).argmax(1)
    threat = Threat(norm=norm, eps=SMALL)
    classes = others(y, 4)
    planes = layer.weight[y].unsqueeze(1) - layer.weight[classes]
    offsets = layer.bias[y].unsqueeze(1) - layer.bias[classes]
    distances, _ = nearest_on_hyperplanes(x, planes, offsets, threat)
    expected = distances.amin(1)
    z, found = nearest_adversarial(layer, x, y, threat=threat, targets=classes, steps=60)
    reached = expected.isfinite()
    assert reached.sum() >= 20
    assert found[reached].sum() >= 0.95 * reached.sum()
    ratio = (threat.length(z - x) / expected)[found]
    assert (ratio >= 1 - 1e-9).all()
    assert (ratio <= 1.12).all()


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=25, deadline=None)
@given(drawn=tiny_nets(), seed=seeds)
def test_points_are_adversarial_and_in_the_box(
    norm: Norm, drawn: tuple[nn.Sequential, int], seed: int
) -> None:
    net, x, y = inputs_of(drawn, seed)
    threat = Threat(norm=norm, eps=0.05)
    targets = likeliest(net(x), y, 2)
    z, found = nearest_adversarial(net, x, y, threat=threat, targets=targets, steps=12)
    assert threat.in_box(z).all()
    assert (margins(net(z), y)[found] <= 0).all()
    assert torch.equal(z[~found], x[~found])


@pytest.mark.parametrize("norm", ["linf", "l1"])
def test_points_are_near_the_exact_radii_of_tiny_networks(norm: Norm) -> None:
    net, x, y = tiny(1)
    exact = radii(net, x, y, norm)
    threat = Threat(norm=norm, eps=SMALL)
    z, found = nearest_adversarial(
        net, x, y, threat=threat, targets=likeliest(net(x), y, 3), steps=50
    )
    ratio = threat.distance(x, z)[found] / exact[found]
    assert found.sum() >= 0.8 * exact.isfinite().sum()
    assert (ratio >= 1 - 1e-5).all()
    assert ratio.median() < 1.1


def test_inputs_within_eps_leave_and_others_keep_their_place(digits_net: nn.Sequential) -> None:
    x = torch.rand(60, 1, 8, 8)
    y = digits_net(x).argmax(1)
    y[::7] = (y[::7] + 1) % 10
    threat = Threat(norm="l2", eps=0.1)
    targets = likeliest(digits_net(x), y, 2)
    z, found = nearest_adversarial(digits_net, x, y, threat=threat, targets=targets, steps=20)
    assert found[::7].all()
    assert (z[::7] == x[::7]).all()
    assert torch.equal(margins(digits_net(z), y) <= 0, found)
    assert (threat.distance(x, z)[found] > 0.1).any()


def test_a_network_without_gradients_leaves_walks_where_they_are() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).requires_grad_(False)
    net.load_state_dict({"1.weight": torch.zeros(2, 4), "1.bias": torch.tensor([1.0, 0.0])})
    x = torch.rand(3, 4)
    y = torch.zeros(3, dtype=torch.long)
    z, found = nearest_adversarial(
        net, x, y, threat=Threat(norm="l2", eps=0.1), targets=1 - y.unsqueeze(1), steps=5
    )
    assert not found.any()
    assert torch.equal(z, x)
