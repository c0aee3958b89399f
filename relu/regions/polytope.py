"""The point of a cell nearest to x: a linear program (linf, l1) or a least-distance problem (l2).

A cell is {z in the box : h_i(z) >= 0}, a linear region or the part of it that another class wins.
Of its many constraints few matter, so they are added as they turn out to be violated.

No solver is trusted. For any multipliers lambda >= 0, sum_i lambda_i h_i(z) >= 0 is one half-space
that contains the cell, and the distance of x to it inside the box (`planes.distance_to`) is a
proven lower bound on the distance to the cell; at the optimum, it is that distance.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from scipy.optimize import linprog, nnls
from torch import Tensor

from relu.regions.hyperplanes import distance_to
from relu.rounding import UNDERFLOW
from relu.threat import Threat

ROUNDS = 100  # of adding constraints
ADDED = 30  # constraints per round
VIOLATED = 1e-10  # distance (in the dual norm's units) by which a constraint counts as violated
TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


@dataclass(frozen=True, eq=False)
class Constraints:
    """h(z) = normal z + offset >= 0, with the error of each h anywhere in the box."""

    normal: Float[Tensor, "m d"]
    at_x: Float[Tensor, " m"]
    error: Float[Tensor, " m"]


@dataclass(frozen=True)
class Solution:
    """What a relaxation of a cell gives: its nearest point (None: it has none), multipliers."""

    step: np.ndarray | None
    multipliers: np.ndarray


def nearest_in_cell(
    x: Float[Tensor, " d"],
    violated: Callable[[Tensor], Int[Tensor, " k"]],
    constraints: Callable[[Tensor], Constraints],
    threat: Threat,
    *,
    inset: float = 0.0,
) -> tuple[float, Tensor | None]:
    """A proven lower bound on the distance of x to a cell (inf: empty), and its nearest point.

    violated(z): numbers of the constraints that z violates, worst first; constraints(numbers):
    these. The point is None where the cell is empty (the bound inf) or the solver gives up. With
    an inset, the point is that of the part of the cell that lies that far (in l2) from its sides.
    """
    numbers = violated(x)[:ADDED]
    low = 0.0
    z = x
    for _ in range(ROUNDS):
        if not len(numbers):
            return low, z
        chosen = constraints(numbers)
        solution = _solve(x, chosen, threat, inset)
        if solution is None:
            return low, None
        low = max(low, _bound(x, chosen, solution.multipliers, threat))
        if solution.step is None:
            return low, None
        step = torch.from_numpy(solution.step).to(x)
        z = threat.clamped(x + step)
        more = violated(z)[:ADDED]
        more = more[~torch.isin(more, numbers)]
        if not len(more):
            return low, z
        numbers = torch.cat([numbers, more])
    return low, None


def _bound(x: Tensor, chosen: Constraints, multipliers: np.ndarray, threat: Threat) -> float:
    """The distance to the half-space that the multipliers make of the constraints."""
    weights = torch.from_numpy(multipliers).to(x).clamp_min(0)
    if not bool(weights.isfinite().all()):
        return 0.0
    gap = (weights * chosen.at_x).sum()
    normal = weights @ chosen.normal
    error = (weights * chosen.error).sum()
    # and the rounding of these three sums, of as many terms as there are constraints
    sums = weights @ (chosen.at_x.abs() + chosen.normal.abs().sum(1) * _reach(x, threat))
    error = error + 4 * len(weights) * 2.0**-53 * sums + UNDERFLOW * (1 + weights.sum())
    if not gap < -error:
        return 0.0
    return float(distance_to(x[None], normal[None], gap[None], error[None], threat))


def _reach(x: Tensor, threat: Threat) -> float:
    low, high = threat.box
    return max(high - low, float(x.abs().max()))


def _solve(x: Tensor, chosen: Constraints, threat: Threat, inset: float) -> Solution | None:
    """Min ||u|| s.t. normal u >= -h(x), low - x <= u <= high - x; None where the solver fails."""
    scale = chosen.normal.norm(dim=1).clamp_min(1e-300)
    normal = (chosen.normal / scale[:, None]).cpu().numpy()
    needed = (inset - chosen.at_x / scale).cpu().numpy()
    low, high = ((edge - x).cpu().numpy() for edge in threat.box)
    solve = _least_squares if threat.p_norm.objective == "squares" else _program
    solution = solve(normal, needed, low, high, threat)
    if solution is None:
        return None
    return Solution(solution.step, solution.multipliers / scale.cpu().numpy())


def _program(
    normal: np.ndarray, needed: np.ndarray, low: np.ndarray, high: np.ndarray, threat: Threat
) -> Solution | None:
    """linf: |u_i| <= t, minimise t. l1: u = a - b with a, b >= 0, minimise sum a + b."""
    m, d = normal.shape
    largest = threat.p_norm.objective == "largest"
    if largest:
        eye = sparse.eye(d)
        ones = np.ones((d, 1))
        rows = sparse.bmat([[-normal, None], [eye, -ones], [-eye, -ones]], format="csr")
        rhs = np.concatenate([-needed, np.zeros(2 * d)])
        cost = np.concatenate([np.zeros(d), [1.0]])
        bounds = np.vstack([np.stack([low, high], 1), [[0, np.inf]]])
    else:
        rows = np.hstack([-normal, normal])
        rhs = -needed
        cost = np.ones(2 * d)
        zero = np.zeros(d)
        bounds = np.stack([np.concatenate([zero, zero]), np.concatenate([high, -low])], 1)
    optimum = linprog(cost, A_ub=rows, b_ub=rhs, bounds=bounds, method="highs", options=TIGHT)
    if optimum.status == 2:
        return _infeasible(normal, needed, low, high)
    if optimum.status != 0:
        return None
    step = optimum.x[:d] if largest else optimum.x[:d] - optimum.x[d:]
    return Solution(step, -optimum.ineqlin.marginals[:m])


def _least_squares(
    normal: np.ndarray, needed: np.ndarray, low: np.ndarray, high: np.ndarray, _threat: Threat
) -> Solution | None:
    """Least-distance programming by non-negative least squares [LH74, Chapter 23].

    Sides of the box join the constraints as they turn out to be violated.
    """
    m, d = normal.shape
    eye = np.eye(d)
    g = normal
    h = needed
    for _ in range(2 * d + 1):
        try:
            y, length = nnls(np.vstack([g.T, h]), np.eye(d + 1)[d])
        except RuntimeError:  # too many iterations
            return None
        if length < 1e-7:  # its square is what the multipliers are divided by
            return _infeasible(normal, needed, low, high)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            multipliers = y / (1 - h @ y)
        if not np.isfinite(multipliers).all():
            return _infeasible(normal, needed, low, high)
        step = g.T @ multipliers
        under = np.flatnonzero(step < low - 1e-12)
        over = np.flatnonzero(step > high + 1e-12)
        if not len(under) and not len(over):
            return Solution(step, multipliers[:m])
        g = np.vstack([g, eye[under], -eye[over]])
        h = np.concatenate([h, low[under], -high[over]])
    return None


def _infeasible(
    normal: np.ndarray, needed: np.ndarray, low: np.ndarray, high: np.ndarray
) -> Solution | None:
    """Multipliers that prove it: those of min t s.t. normal u + t >= needed, u in the box."""
    m, d = normal.shape
    bounds = [*zip(low, high, strict=True), (None, None)]
    optimum = linprog(
        np.eye(d + 1)[d],
        A_ub=np.hstack([-normal, -np.ones((m, 1))]),
        b_ub=-needed,
        bounds=bounds,
        method="highs",
        options=TIGHT,
    )
    return Solution(None, -optimum.ineqlin.marginals) if optimum.status == 0 else None
