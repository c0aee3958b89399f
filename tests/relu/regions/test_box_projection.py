"""Distances to hyperplanes in a box: by hand, against LP and QP solvers, and by their order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from torch import Tensor

from bench.parsing import NORMS
from relu.regions.box_projection import nearest_on_hyperplanes
from relu.threat import Norm, Threat


def threat(norm: Norm, low: float = 0.0, high: float = 1.0) -> Threat:
    return Threat(norm=norm, eps=1.0, box=(low, high))


def one(norm: Norm, x: list[float], w: list[float], b: float) -> tuple[float, list[float]]:
    """A single input and hyperplane."""
    f64 = torch.float64
    distance, z = nearest_on_hyperplanes(
        torch.tensor([x], dtype=f64),
        torch.tensor([[w]], dtype=f64),
        torch.tensor([[b]], dtype=f64),
        threat(norm),
    )
    return distance.item(), z.flatten().tolist()


# From x = (0.5, 0.9) to 3 z_1 + 4 z_2 = 6.1: the gap is 1.0, upwards. Without the box z_2 would
# go beyond 1 in all three norms: to 0.9 + 1/7 (linf), 0.9 + 4/25 (l2), 0.9 + 1/4 (l1).
# With it z_2 stops at 1 (0.4 of the gap), and z_1 makes up 0.6 / 3 = 0.2 in all three norms.
@pytest.mark.parametrize(
    ("norm", "distance"), [("linf", 0.2), ("l2", (0.2**2 + 0.1**2) ** 0.5), ("l1", 0.3)]
)
def test_a_coordinate_stops_at_the_edge_and_another_makes_up_for_it(
    norm: Norm, distance: float
) -> None:
    found, z = one(norm, [0.5, 0.9], [3.0, 4.0], -6.1)
    assert found == pytest.approx(distance, abs=1e-12)
    assert z == pytest.approx([0.7, 1.0], abs=1e-12)


@pytest.mark.parametrize(("norm", "q"), [("linf", 1), ("l2", 2), ("l1", np.inf)])
def test_far_from_the_edges_it_is_the_dual_norm(norm: Norm, q: float) -> None:
    w = [3.0, -4.0, 1.0]
    found, z = one(norm, [0.5, 0.5, 0.5], w, 0.1)
    assert found == pytest.approx(0.1 / np.linalg.norm(w, q), rel=1e-12)
    assert np.dot(w, z) + 0.1 == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_a_hyperplane_that_misses_the_box_is_nowhere(norm: Norm) -> None:
    distance, z = one(norm, [0.5, 0.5], [1.0, 1.0], -2.1)
    assert distance == np.inf
    assert np.isnan(z).all()
    assert one(norm, [0.5, 0.5], [1.0, 1.0], -2.0)[1] == pytest.approx([1.0, 1.0])  # its corner


@pytest.mark.parametrize("norm", NORMS)
def test_a_row_without_direction_bounds_nothing(norm: Norm) -> None:
    assert one(norm, [0.5, 0.5], [0.0, 0.0], 0.3)[0] == np.inf


@pytest.mark.parametrize("norm", NORMS)
def test_a_hyperplane_through_the_input_is_at_distance_zero(norm: Norm) -> None:
    assert one(norm, [0.5, 0.5], [1.0, -1.0], 0.0) == (0.0, [0.5, 0.5])


def problem(seed: int, n: int, k: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs on faces and corners too; rows with equal, tiny and zero entries."""
    rng = np.random.default_rng(seed)
    x = rng.choice([0.0, 0.5, 1.0, -1.0], (n, d), p=[0.2, 0.1, 0.2, 0.5])
    x = np.where(x < 0, rng.random((n, d)), x)
    w = rng.standard_normal((n, k, d)) * rng.choice([0.0, 1e-3, 1.0, 10.0], (n, k, d))
    w = np.where(rng.random((n, k, 1)) < 0.3, np.sign(w), w)
    return torch.tensor(x), torch.tensor(w), torch.tensor(rng.standard_normal((n, k)) * d / 2)


def solver_distance(norm: Norm, x: np.ndarray, w: np.ndarray, b: float) -> float:
    """The same by an LP (linf, l1) or QP (l2) solver; inf where it finds nothing."""
    d = len(x)
    if norm == "linf":  # variables z, t; minimise t
        side = np.vstack([np.c_[np.eye(d), -np.ones(d)], np.c_[-np.eye(d), -np.ones(d)]])
        found = linprog(
            np.r_[np.zeros(d), 1],
            side,
            np.r_[x, -x],
            np.r_[w, 0][None],
            [-b],
            [(0, 1)] * d + [(0, None)],
        )
        return float(found.fun) if found.success else np.inf
    if norm == "l1":  # z = x + up - down
        bounds = [(0, 1 - v) for v in x] + [(0, v) for v in x]
        found = linprog(np.ones(2 * d), A_eq=np.r_[w, -w][None], b_eq=[-b - w @ x], bounds=bounds)
        return float(found.fun) if found.success else np.inf
    reach = np.where(w > 0, 1.0, 0.0) @ w + b, np.where(w > 0, 0.0, 1.0) @ w + b
    if not reach[1] <= 0 <= reach[0]:
        return np.inf
    found = minimize(
        lambda z: (z - x) @ (z - x) / 2,
        np.full(d, 0.5),
        jac=lambda z: z - x,
        method="SLSQP",
        bounds=[(0, 1)] * d,
        constraints={"type": "eq", "fun": lambda z: w @ z + b, "jac": lambda z: w},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    return float(np.linalg.norm(found.x - x))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("d", [1, 2, 5, 12])
def test_solvers_find_the_same(norm: Norm, d: int) -> None:
    x, w, b = problem(seed=d, n=15, k=4, d=d)
    distance, _ = nearest_on_hyperplanes(x, w, b, threat(norm))
    expected = [
        [solver_distance(norm, x[i].numpy(), w[i, j].numpy(), b[i, j].item()) for j in range(4)]
        for i in range(15)
    ]
    assert d == 1 or (np.isinf(expected).any() and np.isfinite(expected).any())
    np.testing.assert_allclose(distance.numpy(), expected, atol=1e-6, rtol=1e-6)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), d=st.integers(1, 30), norm=st.sampled_from(list(NORMS)))
def test_points_lie_on_their_hyperplane_in_the_box_at_their_distance(
    seed: int, d: int, norm: Norm
) -> None:
    x, w, b = problem(seed, n=6, k=5, d=d)
    distance, z = nearest_on_hyperplanes(x, w, b, threat(norm))
    there = distance.isfinite()
    assert bool(((z >= 0) & (z <= 1)).all(2)[there].all())
    assert bool(z[~there].isnan().all())
    size = (w.abs().sum(2) + b.abs()).clamp_min(1e-3)
    assert bool((((w * z).sum(2) + b).abs() <= 1e-9 * size)[there].all())
    moved = threat(norm).length((z - x.unsqueeze(1)).flatten(0, 1)).view_as(distance)
    torch.testing.assert_close(moved[there], distance[there], atol=1e-9, rtol=1e-9)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), d=st.integers(1, 30), norm=st.sampled_from(list(NORMS)))
def test_the_box_never_lowers_a_distance(seed: int, d: int, norm: Norm) -> None:
    x, w, b = problem(seed, n=6, k=5, d=d)
    distance, _ = nearest_on_hyperplanes(x, w, b, threat(norm))
    free, _ = nearest_on_hyperplanes(x, w, b, threat(norm, -1e6, 1e6))
    dual = torch.linalg.vector_norm(w, ord=threat(norm).q, dim=2)
    plain = ((w * x.unsqueeze(1)).sum(2) + b).abs() / dual
    some = (dual > 0) & free.isfinite()
    torch.testing.assert_close(free[some], plain[some], atol=1e-9, rtol=1e-6)
    assert bool((distance[some] >= plain[some] * (1 - 1e-9)).all())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(20))
def test_a_hyperplane_through_a_corner_does_not_round_away_from_the_box(
    seed: int, norm: Norm
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.random(7)
    w = rng.normal(size=7)
    away = w > 0
    z = np.where(away, 1.0, 0.0)  # the corner where the form is largest, up to rounding
    distance, point = one(norm, x.tolist(), w.tolist(), -float(w @ z))
    assert distance == pytest.approx(
        float(np.linalg.norm(z - x, {"linf": np.inf, "l2": 2, "l1": 1}[norm])), rel=1e-6
    )
    assert point == pytest.approx(z, abs=1e-6)
