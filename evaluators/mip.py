"""Exact answers by mixed-integer programming [TXT19], with HiGHS or Gurobi."""

from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Gt
from torch import nn

from evaluators._gurobi import HINT, Gurobi, library
from evaluators._highs import Highs
from evaluators._milp_search import decide, smallest
from evaluators._one_input import Input, one_by_one
from evaluators._replies import Found
from evaluators._solver import Guarded, Solver, SolverError, WithinLicence
from evaluators.interface import Evidence, Interval
from relu.classes import Images, Labels
from relu.network.reader import refusal
from relu.ranges import checked_dataclass
from relu.threat import Norm, Threat


@checked_dataclass
class Mip:
    """The network around each input as a mixed-integer program, solved input by input.

    mode: "decide" whether there is an adversarial input within eps, or find the "radius". solver:
    "auto" is HiGHS, but Gurobi for l2, which HiGHS cannot do; a program that exceeds Gurobi's
    licence goes to HiGHS. tighten: whether bounds of hidden units are improved by LPs, each of at
    most `tighten_seconds`, for inputs that take long. seconds: what each may take ("timeout").
    """

    label: ClassVar[str] = "MIP"
    aliases: ClassVar[tuple[str, ...]] = ("milp", "exact")
    resource: ClassVar[Literal["gpu", "cpu"]] = "cpu"
    cost: ClassVar[int] = 40
    shard: ClassVar[int] = 20
    step: ClassVar[int] = 1
    eps_per_input: ClassVar[bool] = True

    mode: Literal["decide", "radius"] = "decide"
    solver: Literal["auto", "highs", "gurobi"] = "auto"
    tighten: Literal["none", "lp"] = "lp"
    tighten_seconds: Annotated[float, Gt(0)] = 5.0
    seconds: Annotated[float, Gt(0)] = 120.0

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        if threat.norm == "l2" and self.solver == "highs":
            return "l2 needs a quadratic solver: mip.solver=gurobi"
        if self._asks_gurobi(threat.norm):
            try:
                library()
            except SolverError:
                return HINT
        return refusal(net)

    @torch.no_grad()
    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        radius = self.mode == "radius"
        wanted = known.unsettled if radius else known.straddles(threat.each(x))
        return one_by_one(net, x, y, self._found, threat=threat, known=known, wanted=wanted)

    def _found(self, problem: Input, low: float, high: float) -> Found:
        solver = self._solver(problem.threat.norm)
        tighten = self._tighten
        try:
            if self.mode == "decide":
                return decide(problem, solver, tighten=tighten, seconds=self.seconds)
            return smallest(
                problem, solver, tighten=tighten, seconds=self.seconds, known=low, high=high
            )
        except SolverError as error:
            return Found(0.0, None, f"solver error: {error}", "failed")

    @property
    def _tighten(self) -> float:
        return self.tighten_seconds if self.tighten == "lp" else 0.0

    def _asks_gurobi(self, norm: Norm) -> bool:
        return self.solver == "gurobi" or (self.solver == "auto" and norm == "l2")

    def _solver(self, norm: Norm) -> Solver:
        if not self._asks_gurobi(norm):
            return Guarded(Highs())
        return Guarded(Gurobi() if norm == "l2" else WithinLicence(Gurobi(), Highs()))
