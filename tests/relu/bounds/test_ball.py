"""What a linear form can lose on ball and box: against linear programs and closed forms."""

import math

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from torch import Tensor

from bench.parsing import NORMS
from relu.bounds.ball import ball_of
from relu.threat import Norm, Threat
from tests.strategies import seeds


def exact_fall(row: np.ndarray, x: np.ndarray, threat: Threat) -> float:
    """Max of row . (x - z) over ball and box."""
    low, high = threat.box
    size = np.abs(row)
    room = np.where(row > 0, x - low, high - x)
    if threat.norm == "linf":
        return float(size @ np.minimum(room, threat.eps))
    if threat.norm == "l1":
        bounds = [(0, r) for r in room]
        found = scipy.optimize.linprog(
            -size, A_ub=np.ones((1, len(x))), b_ub=[threat.eps], bounds=bounds
        )
        return float(-found.fun)

    def moved(t: float) -> np.ndarray:
        return np.minimum(size * t, room)

    eps = float(threat.eps)
    if np.linalg.norm(room[size > 0]) <= eps:
        return float(size @ room)
    t = scipy.optimize.brentq(lambda t: np.linalg.norm(moved(t)) - eps, 0, 1e9, xtol=1e-15)
    return float(size @ moved(t))


@settings(max_examples=100, deadline=None)
@given(seed=seeds)
def test_a_form_never_loses_more_than_is_said_and_hardly_less(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    d = int(torch.randint(1, 12, (), generator=draw))
    x = (torch.rand(1, d, generator=draw, dtype=torch.float64) * 1.4 - 0.2).clamp_(0, 1)
    rows = torch.randn(1, 3, d, generator=draw, dtype=torch.float64)
    rows[0, 2] = 0.0
    for norm in NORMS:
        eps = math.exp(float(torch.rand((), generator=draw)) * 6 - 4)
        threat = Threat(norm=norm, eps=eps)
        ball = ball_of(x, threat)
        for sign, found in (
            (1, ball.deltas.support_below(rows)),
            (-1, ball.deltas.support_above(rows)),
        ):
            at_center = (rows @ (ball.center - x).unsqueeze(2)).squeeze()  # linf: not x itself
            for i in range(3):
                exact = exact_fall(sign * rows[0, i].numpy(), x[0].numpy(), threat)
                lost = float(found[0, i] - sign * at_center[i])
                assert exact - 1e-9 <= lost <= exact * 1.05 + 1e-9
                assert norm != "linf" or lost == pytest.approx(exact, abs=1e-12)


def within_rooms(size: Tensor, room: Tensor, threat: Threat) -> Tensor:
    """A point of the ball at which a form is all but lowest: coordinates share out the radius."""

    def moved(t: float) -> Tensor:
        if threat.norm == "l1":  # whole ways to the edge, the steepest first
            return torch.where(size * t >= 1, room, 0.0)
        return (size * t).minimum(room)

    low = 0.0
    high = 1e9
    for _ in range(200):
        middle = (low + high) / 2
        if float(threat.length(moved(middle)[None])) <= threat.eps:
            low = middle
        else:
            high = middle
    return moved(low)


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("seed", range(20))
def test_in_rooms_of_many_sizes_a_form_loses_what_a_point_of_the_ball_says(
    seed: int, norm: Norm
) -> None:
    # The more pixels are near their edges, the more steps it takes to share out the radius.
    draw = torch.Generator().manual_seed(seed)
    x = 10.0 ** (-5 * torch.rand(1, 60, generator=draw, dtype=torch.float64))
    row = 10.0 ** (-3 * torch.rand(60, generator=draw, dtype=torch.float64))
    whole = float(Threat(norm=norm, eps=1.0).length(x))
    for share in (0.01, 0.3, 0.9):
        threat = Threat(norm=norm, eps=share * whole)
        lost = float(ball_of(x, threat).deltas.support_below(row.view(1, 1, 60)))
        assert lost >= float(row @ within_rooms(row, x[0], threat)) * (1 - 1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_without_a_box_it_is_the_radius_times_the_dual_norm(norm: Norm) -> None:
    x = torch.rand(2, 5).double()
    rows = torch.randn(2, 4, 5).double()
    eps = torch.tensor([0.1, 3.0]).double()
    ball = ball_of(x, Threat(norm=norm, eps=1.0), eps=eps, box=False)
    order = {"linf": 1.0, "l2": 2.0, "l1": math.inf}[norm]
    expected = torch.linalg.vector_norm(rows, ord=order, dim=2) * eps.unsqueeze(1)
    assert torch.allclose(ball.deltas.support_below(rows), expected)
    assert torch.allclose(ball.deltas.support_above(rows), expected)
    assert torch.equal(ball.center, x)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("box", [True, False])
def test_its_gradient_is_the_one_of_finite_differences(norm: Norm, box: bool) -> None:
    torch.manual_seed(0)
    ball = ball_of(torch.rand(2, 5).double(), Threat(norm=norm, eps=0.4), box=box)
    rows = torch.randn(2, 3, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(ball.deltas.support_below, (rows,), atol=2e-3, rtol=2e-2)


@pytest.mark.parametrize("norm", NORMS)
def test_parts_of_deltas_are_those_of_its_inputs_and_pixels(norm: Norm) -> None:
    x = torch.rand(4, 6).double()
    rows = torch.randn(4, 2, 6).double()
    rows[:, :, 3:] = 0
    deltas = ball_of(x, Threat(norm=norm, eps=0.3)).deltas
    which = torch.tensor([2, 0])
    pixels = torch.tensor([0, 1, 2])
    found = deltas.at(which).seen(pixels).support_below(rows[which][:, :, :3])
    assert torch.allclose(found, deltas.support_below(rows)[which])


def test_a_pixel_at_the_edge_of_the_box_moves_inwards_only() -> None:
    x = torch.tensor([[0.0, 1.0]]).double()
    rows = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).double()
    for norm in NORMS:
        ball = ball_of(x, Threat(norm=norm, eps=0.2))
        least: Tensor = (rows @ ball.center.unsqueeze(2)).squeeze() - ball.deltas.support_below(
            rows
        )
        most: Tensor = (rows @ ball.center.unsqueeze(2)).squeeze() + ball.deltas.support_above(rows)
        assert torch.allclose(least, torch.tensor([[0.0, 0.8]]).double())
        assert torch.allclose(most, torch.tensor([[0.2, 1.0]]).double())


def test_tiny_coefficients_have_gradients() -> None:
    rows = torch.tensor([[[1.0, 1.0, 1e-21]]]).requires_grad_()
    deltas = ball_of(torch.full((1, 3), 0.5), Threat(norm="l2", eps=0.8)).deltas
    deltas.support_below(rows).sum().backward()
    assert rows.grad is not None
    assert rows.grad.isfinite().all()


def test_inputs_outside_the_box_are_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="in the box"):
        ball_of(torch.tensor([[1.5]]), Threat(norm="linf", eps=0.1))
