"""Each norm by its definition: what no vector of the ball exceeds, and one attains."""

import pytest
import torch
from torch import Tensor

from relu.norms import NORMS, OF_DUAL
from relu.norms.interface import PNorm
from relu.norms.l1 import L1
from relu.norms.linf import Linf

each_norm = pytest.mark.parametrize("norm", NORMS.values(), ids=lambda norm: norm.name)
seeds = pytest.mark.parametrize("seed", range(5))


def length(norm: PNorm, delta: Tensor) -> Tensor:
    return torch.linalg.vector_norm(delta, ord=norm.p, dim=-1)


def draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(norm: PNorm, count: int, d: int, seed: int) -> Tensor:
    return norm.random(count, d, torch.zeros((), dtype=torch.float64), draw(seed))


def test_each_is_found_by_its_name_and_by_its_dual_exponent() -> None:
    for name, norm in NORMS.items():
        assert norm.name == name
        assert OF_DUAL[norm.q] is norm
        assert 1 / norm.p + 1 / norm.q == 1
        assert isinstance(norm, PNorm)


@each_norm
@seeds
def test_the_dual_length_is_the_most_that_the_ball_gives_and_is_attained(
    norm: PNorm, seed: int
) -> None:
    v = torch.randn(4, 6, generator=draw(seed)).double()
    ball = points(norm, 4000, 6, seed)
    most = (v @ ball.T).amax(1)
    dual = norm.dual_length(v)
    assert (most <= dual + 1e-12).all()
    assert (most > 0.5 * dual).all()
    best = norm.aligned(v)
    assert torch.allclose(length(norm, best), torch.ones(4).double())
    assert torch.allclose((best * v).sum(1), dual)


@each_norm
@seeds
def test_random_points_lie_in_the_ball_and_fill_it(norm: PNorm, seed: int) -> None:
    lengths = length(norm, points(norm, 4000, 3, seed))
    assert (lengths <= 1 + 1e-12).all()
    for share in (0.5, 0.8):  # a ball of this radius holds share^3 of the volume
        assert abs(float((lengths <= share).double().mean()) - share**3) < 0.04


@each_norm
@seeds
def test_a_projection_is_nearer_than_any_other_point_of_the_ball(norm: PNorm, seed: int) -> None:
    far = torch.randn(5, 4, generator=draw(seed)).double() * 2
    near = norm.project(far.clone(), 0.7)
    assert (length(norm, near) <= 0.7 * (1 + 1e-5)).all()
    others = 0.7 * points(norm, 3000, 4, seed + 1)
    distances = (far - near).norm(dim=1)
    assert (torch.cdist(far, others) >= distances.unsqueeze(1) - 1e-5).all()


@pytest.mark.parametrize("norm", [Linf(), L1()], ids=["linf", "l1"])
@seeds
def test_a_projection_into_a_box_is_nearer_than_any_other_point_of_both(
    norm: PNorm, seed: int
) -> None:
    g = draw(seed)
    delta = torch.randn(6, 4, generator=g).double()
    low, high = -torch.rand(6, 4, generator=g).double(), torch.rand(6, 4, generator=g).double()
    low[0, 0] = high[1, 1] = 0.0
    near = norm.project_between(delta, low, high, 0.7)
    assert (length(norm, near) <= 0.7 * (1 + 1e-12)).all()
    assert ((near >= low) & (near <= high)).all()
    others = 0.7 * points(norm, 3000, 4, seed + 1)
    for i in range(len(delta)):
        inside = others[((others >= low[i]) & (others <= high[i])).all(1)]
        assert len(inside)
        distance = (delta[i] - near[i]).norm()
        assert ((inside - delta[i]).norm(dim=1) >= distance - 1e-12).all()


@each_norm
@seeds
def test_a_projection_into_a_box_leaves_what_lies_in_both(norm: PNorm, seed: int) -> None:
    inside = 0.7 * points(norm, 20, 5, seed)
    room = torch.ones_like(inside)
    assert torch.allclose(norm.project_between(inside, -room, room, 0.7000001), inside, atol=1e-15)


@each_norm
@seeds
def test_nothing_of_the_ball_in_a_box_falls_farther_than_its_support(
    norm: PNorm, seed: int
) -> None:
    g = draw(seed)
    rows = torch.randn(3, 2, 5, generator=g).double()
    up = torch.rand(3, 5, generator=g).double() * 0.4
    down = up if norm.box_shaped else torch.rand(3, 5, generator=g).double() * 0.4
    eps = torch.tensor([0.1, 0.3, 0.9]).double()
    support = norm.support(rows, up, down, eps)
    for i in range(3):
        moves = eps[i] * points(norm, 6000, 5, seed)
        moves = moves.minimum(up[i]).maximum(-down[i])
        assert ((-rows[i] @ moves.T).amax(1) <= support[i] + 1e-12).all()
    whole = torch.where(rows > 0, down.unsqueeze(1), up.unsqueeze(1)) * rows.abs()
    if not norm.box_shaped:  # whose rooms are the ball already
        ball = norm.dual_length(rows) * eps.unsqueeze(1)
        assert (support <= whole.sum(2).minimum(ball) * (1 + 1e-2) + 1e-9).all()
    else:
        assert torch.allclose(support, whole.sum(2))


@each_norm
@seeds
def test_a_gap_is_shared_out_exactly_and_at_least_cost(norm: PNorm, seed: int) -> None:
    g = draw(seed)
    steep = torch.rand(1, 1, 4, generator=g).double() + 0.1
    room = torch.rand(1, 1, 4, generator=g).double()
    missing = 0.6 * (steep * room).sum(2)
    delta = norm.shared(steep, room, missing)
    assert ((delta >= 0) & (delta <= room + 1e-12)).all()
    assert torch.allclose((steep * delta).sum(2), missing)
    tries = torch.rand(20_000, 4, generator=g).double() * room[0]
    enough = tries[(tries @ steep[0, 0]) >= missing[0, 0]]
    assert (length(norm, enough) >= length(norm, delta)[0, 0] - 1e-9).all()


@each_norm
def test_lengths_are_rounded_up(norm: PNorm) -> None:
    moved = torch.rand(50, 30, generator=draw(0)).double()
    assert (norm.length_up(moved) >= length(norm, moved)).all()
    assert (norm.length_up(moved) <= length(norm, moved) * (1 + 1e-12)).all()
    assert norm.length_up(torch.ones(1, 9).double()) >= norm.diameter(9)


@each_norm
@seeds
def test_a_step_has_length_one_and_gains(norm: PNorm, seed: int) -> None:
    grad = torch.randn(3, 1, 4, 4, generator=draw(seed))
    z = torch.full_like(grad, 0.5)
    step = norm.ascent(grad, z, (0.0, 1.0))
    assert torch.allclose(length(norm, step.flatten(1)), torch.ones(3))
    gain = (step * grad).flatten(1).sum(1)
    assert torch.allclose(gain, norm.dual_length(grad.flatten(1)))
