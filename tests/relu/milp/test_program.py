from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize
from scipy import sparse

from relu.milp.program import Program, stacked


def program(seed: int, *, rows: int = 6, size: int = 5) -> Program:
    """Random constraints around a point that satisfies them."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, size))
    inside = rng.uniform(-1, 1, size)
    values = matrix @ inside
    room = rng.uniform(0.1, 1, rows)
    low = np.where(rng.random(rows) < 0.3, -np.inf, values - room)
    high = np.where(rng.random(rows) < 0.3, np.inf, values + room)
    return Program(
        cost=rng.normal(size=size),
        offset=0.7,
        rows=sparse.csr_array(matrix),
        row_low=low,
        row_high=high,
        low=inside - 1,
        high=inside + 1,
        whole=np.zeros(size, dtype=bool),
    )


def minimum(p: Program) -> float:
    some_low = np.isfinite(p.row_low)
    some_high = np.isfinite(p.row_high)
    rows = p.rows.toarray()
    found = scipy.optimize.linprog(
        p.cost,
        A_ub=np.vstack([rows[some_high], -rows[some_low]]),
        b_ub=np.concatenate([p.row_high[some_high], -p.row_low[some_low]]),
        bounds=list(zip(p.low, p.high, strict=True)),
    )
    return float(found.fun) + p.offset


@pytest.mark.parametrize("seed", range(20))
def test_no_multipliers_prove_more_than_the_minimum(seed: int) -> None:
    p = program(seed)
    rng = np.random.default_rng(seed)
    least = minimum(p)
    for scale in (0.0, 1e-3, 1.0, 1e6):
        assert p.least(scale * rng.normal(size=6)) <= least + 1e-9


def test_the_right_multipliers_prove_the_minimum() -> None:
    # min v1 + v2 with v1 + 2 v2 >= 1 on [0, 1]^2 is 1/2, with multiplier 1/2
    p = Program(
        cost=np.ones(2),
        rows=sparse.csr_array([[1.0, 2.0]]),
        row_low=np.ones(1),
        row_high=np.full(1, np.inf),
        low=np.zeros(2),
        high=np.ones(2),
        whole=np.zeros(2, dtype=bool),
    )
    assert 0.5 - 1e-10 < p.least(np.array([0.5])) <= 0.5
    assert p.least(np.array([-3.0])) == pytest.approx(0, abs=1e-10)  # it has no upper end


def test_a_violation_is_that_of_the_worst_constraint() -> None:
    p = program(0)
    p = Program(**{**vars(p), "whole": np.array([True, False, False, False, False])})
    v = np.round((p.low + p.high) / 2)
    missed = p.violation(v + np.array([0.25, 0, 0, 0, 0]))
    assert missed >= 0.25
    assert p.violation(p.high + np.array([0, 2.0, 0, 0, 0])) >= 2


def test_whole_numbers_can_be_pinned() -> None:
    p = Program(**{**vars(program(1)), "whole": np.array([True, False, True, False, False])})
    pinned = p.pinned(np.array([0.9, 0.3, 0.1, 0.3, 0.3]))
    assert (pinned.low[[0, 2]] == [1, 0]).all()
    assert (pinned.high[[0, 2]] == [1, 0]).all()
    assert (pinned.low[[1, 3, 4]] == p.low[[1, 3, 4]]).all()
    assert not pinned.whole.any()


def test_blocks_are_filled_up_to_one_width() -> None:
    one = sparse.eye_array(2)
    two = sparse.csr_array([[1.0, 0, 3.0]])
    assert stacked([one, two], 4).toarray().tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 3, 0]]
    assert stacked([], 3).shape == (0, 3)


def proven(p: Program, multipliers: np.ndarray) -> Fraction:
    """What multipliers prove, without rounding: the formula of `Program.least`."""
    y = [Fraction(v) for v in multipliers.tolist()]
    ends = zip(y, p.row_low.tolist(), p.row_high.tolist(), strict=True)
    found = [v * Fraction(low if v > 0 else high) for v, low, high in ends if v]
    matrix = p.rows.toarray()
    for j, cost in enumerate(p.cost.tolist()):
        column = zip(y, matrix[:, j].tolist(), strict=True)
        reduced = Fraction(cost) - sum((v * Fraction(a) for v, a in column), Fraction(0))
        found.append(min(reduced * Fraction(float(end)) for end in (p.low[j], p.high[j])))
    return sum(found, Fraction(p.offset))


@pytest.mark.parametrize("seed", range(20))
def test_what_multipliers_prove_is_rounded_down(seed: int) -> None:
    p = program(seed)
    rng = np.random.default_rng(seed)
    p = replace(p, row_low=np.nan_to_num(p.row_low, neginf=-9.0), row_high=p.row_low + 1e3)
    p = replace(p, row_high=np.nan_to_num(p.row_high, neginf=9.0))
    for scale in (1e-3, 1.0, 1e6):
        multipliers = scale * rng.normal(size=6)
        exact = proven(p, multipliers)
        found = p.least(multipliers)
        assert Fraction(found) <= exact
        assert float(exact) - found <= 1e-9 * max(1.0, scale * 1e4)
