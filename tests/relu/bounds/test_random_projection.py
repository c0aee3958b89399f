"""Random projections against the exact bounds they estimate."""

import pytest
import torch
from torch import Tensor

from relu.bounds.ball import ball_of
from relu.bounds.linear import margin_lower_bounds, relax
from relu.bounds.random_projection import RandomProjections
from relu.network.architectures import build
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.threat import Norm, Threat

SHAPE = (1, 8, 8)


def falls(norm: Norm, count: int, *, box: bool = False) -> tuple[Tensor, Tensor]:
    """How far the second layer's units fall: estimated, and exact."""
    torch.manual_seed(0)
    net = build("cnn_small", SHAPE, 10).requires_grad_(False)
    layers = read_layers(net, SHAPE)
    x = torch.rand(6, *SHAPE)
    ball = ball_of(to_vectors(layers, x), Threat(norm=norm, eps=0.2), box=box)
    exact = relax(layers, ball, "kw", every=True)
    found = relax(layers, ball, "kw", estimates=RandomProjections(count=count, wider_than=0))
    return found.reference[1] - found.low[1], exact.reference[1] - exact.low[1]


@pytest.mark.parametrize(("norm", "box"), [("linf", False), ("linf", True), ("l2", False)])
def test_many_projections_come_close(norm: Norm, box: bool) -> None:
    found, exact = falls(norm, 4000, box=box)
    seen = exact > 1e-6
    assert (found[seen] / exact[seen]).median() == pytest.approx(1, abs=0.02)
    assert ((found - exact).abs()[seen] < 0.2 * exact[seen]).all()


def test_few_projections_are_right_in_the_middle() -> None:
    found, exact = falls("linf", 51)
    seen = exact > 1e-6
    assert (found[seen] / exact[seen]).median() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("norm", "box"), [("l1", False), ("l2", True)])
def test_what_they_do_not_cover_is_computed_in_full(norm: Norm, box: bool) -> None:
    found, exact = falls(norm, 1, box=box)
    assert torch.allclose(found, exact, rtol=1e-4, atol=1e-6) or (found >= exact - 1e-6).all()


def test_gradients_flow_through_estimates() -> None:
    torch.manual_seed(0)
    net = build("cnn_small", SHAPE, 10)
    layers = read_layers(net, SHAPE)
    x = torch.rand(4, *SHAPE)
    ball = ball_of(to_vectors(layers, x), Threat(norm="l2", eps=0.2), box=False)
    relaxed = relax(layers, ball, "kw", estimates=RandomProjections(count=10, wider_than=0))
    margin_lower_bounds(relaxed, torch.arange(4)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_estimates_must_not_certify() -> None:
    net = build("fc_small", SHAPE, 10).double().requires_grad_(False)
    layers = read_layers(net, SHAPE)
    x = torch.rand(2, 64).double()
    ball = ball_of(x, Threat(norm="linf", eps=0.1))
    with pytest.raises(AssertionError, match="certify"):
        relax(layers, ball, "kw", estimates=RandomProjections(count=10, wider_than=0))
