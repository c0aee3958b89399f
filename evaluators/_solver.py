"""What the evaluator `mip` asks of a solver of mixed-integer programs, and what comes back."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from relu.milp.program import Program

TOLERANCE = (
    1e-9  # by which solvers may miss a constraint; a tenth of the slack of relu/milp/encoding.py
)


class SolverError(Exception):
    """A solver that is missing, has no licence, or gave up: one line."""


class TooLarge(SolverError):
    """A program that is larger than the solver's licence allows."""


@dataclass(frozen=True)
class Answer:
    """What a solver found out about a program.

    "optimal": bound and point are the minimum up to tolerances. "above": no point has an objective
    below `above`. "below": `point` has one below `below`. "timeout": it has not finished. Whatever
    it says, no feasible point has an objective below `bound`.
    """

    status: Literal["optimal", "above", "below", "timeout"]
    bound: float
    point: np.ndarray | None = None
    note: str = ""


@runtime_checkable
class Solver(Protocol):
    """Solves programs with one thread, and is sure to come back after about `seconds`."""

    name: ClassVar[str]

    def solve(
        self, program: Program, *, seconds: float, above: float = np.inf, below: float = -np.inf
    ) -> Answer:
        """Minimises until it knows: the minimum, or that it is >= above, or < below.

        Raises SolverError where there is no answer at all.
        """
        ...


@dataclass(frozen=True)
class Guarded:
    """A solver whose every exception is a SolverError."""

    solver: Solver
    name: ClassVar[str] = "guarded"

    def solve(
        self, program: Program, *, seconds: float, above: float = np.inf, below: float = -np.inf
    ) -> Answer:
        """As `Solver.solve`."""
        try:
            return self.solver.solve(program, seconds=seconds, above=above, below=below)
        except SolverError:
            raise
        except Exception as error:
            raise SolverError(f"{type(error).__name__}: {error}".partition("\n")[0]) from error


@dataclass(frozen=True)
class WithinLicence:
    """A solver, and another one for programs that its licence does not allow."""

    first: Solver
    second: Solver
    name: ClassVar[str] = "either"

    def solve(
        self, program: Program, *, seconds: float, above: float = np.inf, below: float = -np.inf
    ) -> Answer:
        """As `Solver.solve`; the answer's note says where it is the second one's."""
        try:
            return self.first.solve(program, seconds=seconds, above=above, below=below)
        except TooLarge:
            answer = self.second.solve(program, seconds=seconds, above=above, below=below)
            size = f"{program.rows.shape[1]} variables, {program.rows.shape[0]} constraints"
            note = f"by {self.second.name}: {size} exceed {self.first.name}'s licence"
            return replace(answer, note=note)
