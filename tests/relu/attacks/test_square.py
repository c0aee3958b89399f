"""Square: its squares by hand, what it never does, and networks whose gradients are 0."""

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from bench.parsing import NORMS
from relu.attacks import apgd
from relu.attacks.square import P, bump, image_shape, search, share, sides
from relu.classes import margins
from relu.threat import Norm, Threat
from tests.relu.attacks.problems import Staircase, inputs_of
from tests.strategies import seeds, tiny_nets

EPS: dict[Norm, float] = {"linf": 0.3, "l2": 3.0, "l1": 20.0}


def test_squares_shrink_as_the_search_goes_on() -> None:
    assert share(0.0, P) == 0.8
    assert share(0.05, P) == 0.05
    assert share(0.99, P) == 0.8 / 2**9
    assert sides((28, 28), 0.8) == (25, 25)
    assert sides((28, 28), 1e-6) == (1, 1)
    assert sides((1, 50), 0.1) == (1, 5)
    assert image_shape((7,)) == (1, 1, 7)
    assert image_shape((3, 4, 5)) == (3, 4, 5)


def test_a_bump_is_two_hills() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    assert bump((1, 1), like).tolist() == [[1.0]]
    assert bump((1, 2), like).tolist() == [[1.0, 1.0]]
    hill = bump((3, 6), like)[:, :3]
    assert hill.tolist() == [[0.25, 0.25, 0.25], [0.25, 1.25, 0.25], [0.25, 0.25, 0.25]]
    assert torch.equal(bump((3, 6), like)[:, 3:], hill)


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=25, deadline=None)
@given(drawn=tiny_nets(), seed=seeds)
def test_points_obey_the_threat_and_fool_where_it_is_said(
    norm: Norm, drawn: tuple[nn.Sequential, int], seed: int
) -> None:
    net, x, y = inputs_of(drawn, seed)
    threat = Threat(norm=norm, eps=0.4)
    z, fooled = search(net, x, y, threat=threat, steps=20)
    assert threat.in_box(z).all()
    assert (threat.distance(x, z) <= 0.4 * (1 + 3e-6)).all()
    assert torch.equal(margins(net(z), y) <= 0, fooled)


@pytest.mark.parametrize("norm", NORMS)
def test_images_are_searched_to_a_smaller_margin(norm: Norm, digits_net: nn.Sequential) -> None:
    x = torch.rand(30, 1, 8, 8)
    y = digits_net(x).argmax(1)
    threat = Threat(norm=norm, eps={"linf": 0.02, "l2": 0.1, "l1": 0.3}[norm])
    few, many = (search(digits_net, x, y, threat=threat, steps=n)[0] for n in (1, 200))
    before, after = (margins(digits_net(z), y).mean() for z in (few, many))
    assert after < before
    assert (threat.distance(x, many) <= threat.eps * (1 + 3e-6)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_it_fools_where_gradients_are_zero_and_ascent_does_not(norm: Norm) -> None:
    net = Staircase()
    x = 0.3 + 0.2 * torch.rand(20, 1, 8, 8)
    y = torch.zeros(20, dtype=torch.long)
    assert (margins(net(x), y) > 0).all()
    threat = Threat(norm=norm, eps=EPS[norm])
    _, by_ascent = apgd.ascend(net, x, y, threat=threat, steps=100, loss="margin", start=x)
    assert not by_ascent.any()
    z, fooled = search(net, x, y, threat=threat, steps=500)
    assert fooled.float().mean() > 0.7
    assert (z[fooled].flatten(1).mean(1) > 0.6).all()
    assert (threat.distance(x, z) <= threat.eps * (1 + 3e-6)).all()
