"""Bounds of units by branch and bound, against enumeration and against points of the ball."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor, nn

from relu.bounds.ball import ball_of
from relu.bounds.branching.deadline import Deadline
from relu.bounds.branching.refinement import refined
from relu.bounds.branching.trees import Trees, grown
from relu.bounds.linear import relax
from relu.bounds.reduced.dual import true_points
from relu.bounds.reduced.forms import Forms
from relu.bounds.reduced.network import ReducedNetwork, reduced_network
from relu.bounds.reduced.precisions import Networks
from relu.network.reader import read_layers
from relu.norms import NORMS
from relu.threat import Norm, Threat

SIZE = 5  # units of each hidden layer
EPS = {"linf": 0.7, "l2": 1.2, "l1": 1.7}
ROUNDS = 60


def never(least: Tensor) -> Tensor:
    """No form is ever settled."""
    return torch.zeros_like(least, dtype=torch.bool)


def small_network(norm: Norm, seed: int) -> ReducedNetwork:
    """Around 0, in a ball that no box cuts."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(3, SIZE), nn.ReLU(), nn.Linear(SIZE, SIZE), nn.ReLU(), nn.Linear(SIZE, 2)
    ).double()
    net.requires_grad_(False)
    layers = read_layers(net, (3,))
    center = torch.zeros(1, 3, dtype=torch.float64)
    ball = ball_of(center, Threat(norm=norm, eps=EPS[norm]), box=False)
    bounds = [(low[0], high[0]) for low, high in relax(layers, ball, "crown").bounds]
    return reduced_network(layers, ball, bounds)


def second_layer(net: ReducedNetwork) -> tuple[Networks, Forms]:
    """What is below it, and its units."""
    return Networks.of(net.below(1)), net.hidden[1]


def grown_trees(net: ReducedNetwork, rounds: int) -> Trees:
    nets, forms = second_layer(net)
    trees = Trees(nets, forms, rounds=rounds)
    grown(trees, rounds=rounds, settled=never, deadline=Deadline.after(60.0))
    return trees


def enumerated(net: ReducedNetwork, unit: int) -> float:
    """The least value of a unit of the second layer (linf): a linear program for each pattern."""
    below = net.hidden[0].rows.numpy()
    offset = net.hidden[0].offset.numpy()
    row = net.hidden[1].rows[unit].numpy()
    least = np.inf
    for pattern in itertools.product((0.0, 1.0), repeat=len(offset)):
        active = np.array(pattern)
        sign = 1 - 2 * active
        cost = row[:3] + (active * row[3:]) @ below
        found = linprog(
            cost, sign[:, None] * below, -sign * offset, bounds=[(-EPS["linf"], EPS["linf"])] * 3
        )
        if found.success:
            least = min(least, found.fun + (active * row[3:]) @ offset)
    return least + float(net.hidden[1].offset[unit])


@pytest.mark.parametrize("seed", range(4))
def test_trees_reach_the_least_values_and_never_pass_them(seed: int) -> None:
    net = small_network("linf", seed)
    least = torch.tensor([enumerated(net, unit) for unit in range(len(net.which[1]))]).double()
    bounds = [grown_trees(net, rounds).least for rounds in (0, 4, ROUNDS)]
    for bound in bounds:
        assert bool((bound <= least + 1e-9).all())
    assert bool((bounds[1] >= bounds[0]).all())
    torch.testing.assert_close(bounds[2], least, rtol=0, atol=1e-3)


@pytest.mark.parametrize("norm", NORMS)
def test_leaves_cover_the_ball(norm: Norm) -> None:
    """Every point of the ball lies in a leaf of each tree, and above that leaf's own bound."""
    net = small_network(norm, 0)
    trees = grown_trees(net, 12)
    threat = Threat(norm=norm, eps=EPS[norm])
    moves = threat.p_norm.random(500, 3, torch.zeros(1, 3, dtype=torch.float64), None)
    points = true_points(net, EPS[norm] * moves.T)
    below = net.hidden[0].forward(points[:3])
    value = net.hidden[1].forward(points[: 3 + len(below)])
    low, high = trees.leaves[:2, ..., None].double()
    inside = ((low <= below[:, None, None]) & (below[:, None, None] <= high)).all(0)
    inside &= trees.bounds.isfinite().unsqueeze(2)
    assert bool(inside.any(1).all())
    above = value.unsqueeze(1) >= trees.bounds.unsqueeze(2)
    assert bool((above | ~inside).all())


def test_units_that_cannot_switch_are_left_alone() -> None:
    net = small_network("linf", 1)
    nets, forms = second_layer(net)
    trees = Trees(nets, forms, rounds=5)
    assert not trees.grow(lambda least: torch.ones_like(least, dtype=torch.bool))
    assert trees.grown == 0


@pytest.mark.parametrize("norm", NORMS)
def test_rounds_refine_and_time_ends_them(norm: Norm) -> None:
    net = small_network(norm, 2)
    ascent = refined(net, Deadline.after(60.0))
    branched = refined(ascent, Deadline.after(60.0), rounds=20)
    assert bool((branched.low >= ascent.low).all())
    assert bool((branched.high <= ascent.high).all())
    assert float((branched.high - branched.low).sum()) < float((ascent.high - ascent.low).sum())
    late = refined(ascent, Deadline.after(0.0), rounds=20)
    torch.testing.assert_close(late.low, ascent.low)


def test_bounds_without_end_stay_so() -> None:
    """Coefficients so large that nothing is proven: no finite number comes of it."""
    net = small_network("linf", 0)
    nets, forms = second_layer(net)
    huge = Forms(1e308 * forms.rows, 1e308 * forms.offset, torch.full_like(forms.size, torch.inf))
    assert bool((Trees(nets, huge, rounds=1).least == -torch.inf).all())
