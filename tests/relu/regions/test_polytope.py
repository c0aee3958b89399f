"""The nearest point of a cell: against the oracle, and its bound never above it."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.parsing import NORMS
from relu.regions.polytope import Constraints, _bound, nearest_in_cell
from relu.threat import Norm, Threat
from tests.oracles import nearest


def solve(x: Tensor, normal: Tensor, offset: Tensor, norm: Norm) -> tuple[float, Tensor | None]:
    """The cell {z in [0, 1]^d : normal z + offset >= 0}."""

    def violated(z: Tensor) -> Tensor:
        depth = -(normal @ z + offset)
        worst = depth.argsort(descending=True)
        return worst[depth[worst] > 1e-10]

    def constraints(which: Tensor) -> Constraints:
        at_x = normal[which] @ x + offset[which]
        return Constraints(normal[which], at_x, torch.zeros_like(at_x))

    return nearest_in_cell(x, violated, constraints, Threat(norm=norm, eps=1.0))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(40))
def test_bound_and_point_are_the_oracles(norm: Norm, seed: int) -> None:
    torch.manual_seed(seed)
    d = 2 + seed % 3
    m = 1 + seed % 7
    x = torch.rand(d, dtype=torch.float64)
    normal = torch.randn(m, d, dtype=torch.float64)
    offset = -torch.rand(m, dtype=torch.float64) / 2
    exact = nearest(-normal.numpy(), offset.numpy(), x.numpy(), norm, (0.0, 1.0))
    low, z = solve(x, normal, offset, norm)
    assert low <= exact + 1e-9
    if np.isinf(exact):
        assert z is None
        assert low == np.inf
        return
    assert low == pytest.approx(exact, abs=1e-7)
    assert z is not None
    assert (normal @ z + offset >= -1e-8).all()
    threat = Threat(norm=norm, eps=1.0)
    assert float(threat.distance(x[None], z[None])) == pytest.approx(exact, abs=1e-7)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_multipliers_that_are_no_numbers_prove_nothing(bad: float) -> None:
    x = torch.full((2,), 0.5, dtype=torch.float64)
    one = Constraints(
        torch.tensor([[1.0, 0.0]]).double(), torch.tensor([-0.1]).double(), torch.zeros(1).double()
    )
    threat = Threat(norm="l2", eps=1.0)
    assert _bound(x, one, np.array([bad]), threat) == 0
    assert _bound(x, one, np.array([1.0]), threat) == pytest.approx(0.1)


@pytest.mark.parametrize("norm", NORMS)
def test_a_cell_around_x_is_at_distance_zero(norm: Norm) -> None:
    x = torch.full((3,), 0.5, dtype=torch.float64)
    low, z = solve(x, torch.eye(3, dtype=torch.float64), torch.zeros(3).double(), norm)
    assert low == 0
    assert z is not None
    assert torch.equal(z, x)


def total(values: np.ndarray) -> Fraction:
    return sum((Fraction(value) for value in values.tolist()), Fraction(0))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(20))
def test_sums_of_constraints_that_cancel_prove_no_more_than_they_say(seed: int, norm: Norm) -> None:
    # Large constraints whose sum is a small one: what float64 makes of it is mostly rounding.
    rng = np.random.default_rng(seed)
    m = 12
    d = 3
    at_x = 1e9 * rng.normal(size=m)
    normal = 1e9 * rng.normal(size=(m, d))
    at_x[-1] = -float(total(at_x[:-1])) - 1e-6
    for column in normal.T:
        column[-1] = -float(total(column[:-1])) + 1e-6
    x = torch.full((d,), 0.5, dtype=torch.float64)
    chosen = Constraints(torch.tensor(normal), torch.tensor(at_x), torch.zeros(m).double())
    found = _bound(x, chosen, np.ones(m), Threat(norm=norm, eps=1.0, box=(-99.0, 99.0)))
    gap = total(at_x)
    sums = [abs(total(column)) for column in normal.T]
    squares = sum((v * v for v in sums), Fraction(0))
    length = {"linf": sum(sums, Fraction(0)), "l2": squares, "l1": max(sums)}[norm]
    power = 1 + (norm == "l2")
    assert gap < 0
    assert Fraction(found) ** power * length <= (-gap) ** power
