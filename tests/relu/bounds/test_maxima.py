"""Maxima of poolings: what the builder notes of them, and bounds that use it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from relu.bounds.ball import Ball, ball_of
from relu.bounds.linear import margin_lower_bounds, relax
from relu.bounds.maxima import maxima_of
from relu.bounds.relaxation import Relaxation
from relu.network.activation import activated
from relu.network.blocks import Blocks
from relu.network.layers import Layer, Shape
from relu.network.maxima import largest
from relu.network.reader import read_layers
from relu.threat import Norm, Threat

SHAPE: Shape = (1, 8, 8)
EPS = 0.1

POOLS: dict[str, list[nn.Module]] = {
    "relu, pool": [nn.ReLU(), nn.MaxPool2d(3, 3)],
    "pool, relu": [nn.MaxPool2d(2), nn.ReLU()],
    "overlapping": [nn.LeakyReLU(0.2), nn.MaxPool2d(3, 2, padding=1)],
    "odd, padded, rounded up": [nn.MaxPool2d((2, 3), (3, 2), padding=(1, 1), ceil_mode=True)],
    "twice": [nn.MaxPool2d(2), nn.ReLU(), nn.MaxPool2d(2)],
}


def network(pool: str, *, seed: int) -> list[Layer]:
    """A convolution, a pooling, and dense layers, in float64."""
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Conv2d(1, 2, 3), *POOLS[pool], nn.Flatten())
    width = body(torch.zeros(1, *SHAPE)).shape[1]
    head = nn.Sequential(nn.Linear(width, 6), nn.ReLU(), nn.Linear(6, 3))
    return list(read_layers(nn.Sequential(body, head).double(), SHAPE))


def states(layers: list[Layer], x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Of inputs: the state behind each number of layers, and each layer's pre-activations."""
    state = [x]
    before = []
    for layer in layers:
        before.append(layer.forward(state[-1]))
        state.append(activated(layer, before[-1]))
    return state, before


def ball(n: int, norm: Norm = "linf") -> Ball:
    x = torch.rand(n, 64, dtype=torch.float64)
    return ball_of(x, Threat(norm=norm, eps=EPS))


@pytest.mark.parametrize("pool", POOLS)
def test_units_are_the_maxima_that_are_noted(pool: str) -> None:
    layers = network(pool, seed=0)
    state, before = states(layers, torch.rand(50, 64, dtype=torch.float64))
    count = 0
    for layer, z in zip(layers, before, strict=True):
        for maxima in maxima_of(layer):
            expected = largest(state[maxima.level], maxima.plus)
            if maxima.minus is not None:
                expected = expected - largest(state[maxima.level], maxima.minus)
            torch.testing.assert_close(z[:, maxima.units], expected)
            count += expected.shape[1]
    assert count


@pytest.mark.parametrize("relaxation", ["kw", "crown"])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("pool", POOLS)
def test_bounds_hold_and_are_no_wider_than_the_entries(
    pool: str, norm: Norm, relaxation: Relaxation
) -> None:
    layers = network(pool, seed=1)
    around = ball(4, norm)
    relaxed = relax(layers, around, relaxation)
    margins = margin_lower_bounds(relaxed, torch.zeros(4, dtype=torch.long))
    for _ in range(40):
        _, before = states(layers, around.center + _point(around))
        for z, low, high in zip(before, relaxed.low, relaxed.high, strict=False):
            assert bool(((low <= z) & (z <= high)).all())
        assert bool((before[-1][:, :1] - before[-1][:, 1:] >= margins).all())
    for layer, low, high in zip(layers, relaxed.low, relaxed.high, strict=False):
        for maxima in maxima_of(layer):
            if maxima.level and maxima.minus is None:
                below = layers[maxima.level - 1]
                most = largest(activated(below, relaxed.high[maxima.level - 1]), maxima.plus)
                least = largest(activated(below, relaxed.low[maxima.level - 1]), maxima.plus)
                assert bool((high[:, maxima.units] <= most + 1e-9).all())
                assert bool((low[:, maxima.units] >= least - 1e-9).all())


def _point(around: Ball) -> Tensor:
    """A perturbation of each ball: at its border or inside."""
    deltas = around.deltas
    direction = torch.randn_like(around.center) * 2 * EPS
    return deltas.norm.project_between(direction, -deltas.down, deltas.up, EPS)


@pytest.mark.parametrize("relaxation", ["kw", "crown"])
def test_level_lines_bound_wide_windows_better(relaxation: Relaxation) -> None:
    torch.manual_seed(2)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 2), nn.ReLU(), nn.MaxPool2d(7), nn.Flatten(), nn.Linear(4, 3)
    ).double()
    layers = list(read_layers(net, SHAPE))
    x = 0.5 + 0.02 * torch.rand(5, 64, dtype=torch.float64)
    around = ball_of(x, Threat(norm="linf", eps=EPS))
    y = torch.zeros(5, dtype=torch.long)
    better = margin_lower_bounds(relax(layers, around, relaxation), y)
    forgetful = [replace(one, maxima=()) if isinstance(one, Blocks) else one for one in layers]
    chords = margin_lower_bounds(relax(forgetful, around, relaxation), y)
    assert bool((better > chords).all())


def test_two_entries_keep_their_chord() -> None:
    net = nn.Sequential(nn.MaxPool2d((1, 2)), nn.Flatten(), nn.Linear(4, 3)).double()
    layers = list(read_layers(net, (1, 1, 8)))
    x = torch.rand(3, 8, dtype=torch.float64)
    around = ball_of(x, Threat(norm="linf", eps=0.5))
    relaxed = relax(layers, around, "crown")
    assert not any(level.any() for level in relaxed.level if level is not None)
