"""The open solver HiGHS behind the interface of `_solver`."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import highspy
import numpy as np

from evaluators._solver import TOLERANCE, Answer, SolverError
from relu.milp.forms import SMALL
from relu.milp.program import Program

STATUS = highspy.HighsModelStatus
# With a cut-off, "infeasible" says that nothing lies below it: the same program has points.
ABOVE = (STATUS.kInfeasible, STATUS.kObjectiveBound)
GAP = 1e-9  # absolute; objectives are of the order of 1


class Highs:
    """Linear programs with whole numbers."""

    name: ClassVar[str] = "HiGHS"

    def solve(
        self, program: Program, *, seconds: float, above: float = np.inf, below: float = -np.inf
    ) -> Answer:
        """As `Solver.solve`."""
        if program.square is not None:
            raise SolverError("HiGHS solves no quadratic programs with whole numbers")
        whole = bool(program.whole.any())
        model = _model(program)
        _set(model, time_limit=max(seconds, 0.01), mip_rel_gap=0.0, mip_abs_gap=GAP)
        if whole:  # cut-offs of a linear program mean something else
            _set(model, objective_bound=above, objective_target=below)
        model.run()
        return _answer(model, program, above)


def _answer(model: Any, program: Program, above: float) -> Answer:
    status = model.getModelStatus()
    info = model.getInfo()
    whole = bool(program.whole.any())
    bound = info.mip_dual_bound if whole else -np.inf
    feasible = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    point = np.array(model.getSolution().col_value) if feasible else None
    if status in ABOVE:
        return Answer("above", above)
    if status == STATUS.kOptimal and point is not None:
        if not whole:
            bound = program.least(np.array(model.getSolution().row_dual))
        return Answer("optimal", min(bound, above), point)
    if status == STATUS.kObjectiveTarget and point is not None:
        return Answer("below", min(bound, above), point)
    if status == STATUS.kTimeLimit:
        return Answer("timeout", min(bound, above), point)
    raise SolverError(f"HiGHS says {model.modelStatusToString(status)!r}")


class HighsRelaxed:
    """A program without whole numbers, under one objective after the other, each a warm start."""

    def __init__(self, program: Program) -> None:
        self._columns = np.arange(len(program.low), dtype=np.int32)
        self._model = _model(program, whole=False)
        _set(self._model, solver="simplex")

    def multipliers(
        self, costs: Iterable[np.ndarray], seconds: float
    ) -> Iterator[np.ndarray | None]:
        """Multipliers of the rows at each minimum; None where it took more than `seconds`."""
        model = self._model
        for cost in costs:
            model.changeColsCost(len(cost), self._columns, cost)
            # HiGHS counts the seconds of all runs together.
            _set(model, time_limit=model.getRunTime() + seconds)
            model.run()
            known = model.getModelStatus() == STATUS.kOptimal
            yield np.array(model.getSolution().row_dual) if known else None


def _set(model: highspy.Highs, **options: Any) -> None:
    for name, value in options.items():
        if model.setOptionValue(name, value) != highspy.HighsStatus.kOk:
            raise SolverError(f"HiGHS refuses the option {name} = {value}")


def _model(program: Program, *, whole: bool = True) -> highspy.Highs:
    rows = program.rows
    lp = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = rows.shape
    lp.col_cost_ = program.cost
    lp.offset_ = program.offset
    lp.col_lower_ = program.low
    lp.col_upper_ = program.high
    lp.row_lower_ = program.row_low
    lp.row_upper_ = program.row_high
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = rows.indptr
    lp.a_matrix_.index_ = rows.indices
    lp.a_matrix_.value_ = rows.data
    if whole and program.whole.any():
        kinds = highspy.HighsVarType
        lp.integrality_ = [kinds.kInteger if w else kinds.kContinuous for w in program.whole]
    model = highspy.Highs()
    _set(
        model,
        output_flag=False,
        threads=1,
        random_seed=0,
        small_matrix_value=SMALL / 10,
        mip_feasibility_tolerance=TOLERANCE,
        primal_feasibility_tolerance=TOLERANCE,
        dual_feasibility_tolerance=TOLERANCE,
    )
    if model.passModel(lp) == highspy.HighsStatus.kError:
        raise SolverError("HiGHS refuses the program")
    return model
