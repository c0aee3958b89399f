"""The commercial solver Gurobi behind the interface of `_solver`, as far as its licence reaches.

The licence that comes with its package ends at 2,000 variables and 2,000 constraints.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from evaluators._solver import TOLERANCE, Answer, SolverError, TooLarge
from relu.milp.program import Program

TOO_LARGE = 10010  # Gurobi's error code for a program that its licence does not allow
HINT = "Gurobi is not installed: pip install -e '.[gurobi]'"


class Gurobi:
    """Linear and quadratic programs with whole numbers."""

    name: ClassVar[str] = "Gurobi"

    def solve(
        self, program: Program, *, seconds: float, above: float = np.inf, below: float = -np.inf
    ) -> Answer:
        """As `Solver.solve`. Raises TooLarge where the licence does not reach."""
        with _errors(), library().Model(env=_environment()) as model:
            _fill(model, program)
            model.setParam("TimeLimit", max(seconds, 0.01))
            if np.isfinite(above):
                model.setParam("BestBdStop", above)
            if np.isfinite(below):
                model.setParam("BestObjStop", below)
            model.optimize()
            return _answer(model, above, below)


def library() -> Any:
    """Gurobi's package. Raises SolverError where it is not installed."""
    try:
        import gurobipy
    except ImportError as error:
        raise SolverError(HINT) from error
    return gurobipy


@functools.cache
def _environment() -> Any:
    """The licence is looked for once; Gurobi is silent, and without any room for rounding."""
    parameters = {
        "OutputFlag": 0,
        "Threads": 1,
        "Seed": 0,
        "MIPGap": 0.0,
        "MIPGapAbs": TOLERANCE,
        "FeasibilityTol": TOLERANCE,
        "IntFeasTol": TOLERANCE,
        "OptimalityTol": TOLERANCE,
        "DualReductions": 0,  # or it could not tell infeasible from unbounded
    }
    return library().Env(params=parameters)


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Gurobi's errors as ours: no licence, an expired one, a program that is too large for it."""
    try:
        yield
    except library().GurobiError as error:
        kind = TooLarge if error.errno == TOO_LARGE else SolverError
        raise kind(f"Gurobi: {error}") from error


def _fill(model: Any, program: Program) -> None:
    kinds = np.where(program.whole, "B", "C")
    v = model.addMVar(len(kinds), lb=program.low, ub=program.high, vtype=kinds)
    square = None if program.square is None else sparse.diags_array(program.square).tocsr()
    model.setMObjective(square, program.cost, program.offset, xQ_L=v, xQ_R=v, xc=v)
    for sign, ends in (("<", program.row_high), (">", program.row_low)):
        finite = np.isfinite(ends).nonzero()[0]
        if len(finite):
            model.addMConstr(program.rows[finite], v, np.full(len(finite), sign), ends[finite])


def _answer(model: Any, above: float, below: float) -> Answer:
    status = model.Status
    codes = library().GRB
    if status in (codes.INFEASIBLE, codes.CUTOFF):
        return Answer("above", above)
    bound = min(float(model.ObjBound), above)
    point = np.array(model.X) if model.SolCount else None
    if status == codes.OPTIMAL and point is not None:
        return Answer("optimal", bound, point)
    if status == codes.USER_OBJ_LIMIT:
        if point is not None and model.ObjVal <= below:
            return Answer("below", bound, point)
        if bound >= above:
            return Answer("above", bound)
    if status == codes.TIME_LIMIT:
        return Answer("timeout", bound, point)
    raise SolverError(f"Gurobi ends with status {status}")
