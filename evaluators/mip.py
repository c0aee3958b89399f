"""Exact answers by mixed-integer programming [TXT19], with HiGHS or Gurobi."""

import time
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Gt
from torch import nn

from evaluators._gurobi import HINT, Gurobi, library
from evaluators._highs import Highs
from evaluators._milp_search import decide, smallest
from evaluators._one_input import Input
from evaluators._replies import UNDECIDED, Found
from evaluators._solver import Guarded, Solver, SolverError, WithinLicence
from evaluators.interface import DECIDED, Evidence, Interval, Status
from relu.attacks.witness import adversarial
from relu.classes import Images, Labels, margins
from relu.network.layers import to_images, to_vectors
from relu.network.reader import in_float64, read_layers, refusal
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
        low = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        seconds = torch.zeros_like(low)
        witness = torch.full_like(x, torch.nan).double()
        outcome = [DECIDED] * len(x)
        status: list[Status] = ["skipped"] * len(x)
        rows = wanted.nonzero().squeeze(1).tolist()
        if rows:
            exact_net = in_float64(net)
            shape = tuple(x.shape[1:])
            layers = read_layers(exact_net, shape)
            inputs = to_vectors(layers, x.double())
        for i in rows:
            started = time.perf_counter()
            problem = Input(exact_net, layers, inputs[i], int(y[i]), shape, threat)
            result = self._result(problem, float(known.low[i]), float(known.high[i]))
            low[i] = result.low
            outcome[i] = result.outcome
            status[i] = result.status
            if result.point is not None:
                image = to_images(layers, result.point.unsqueeze(0), shape)
                if bool(adversarial(exact_net, image, y[i : i + 1])):
                    witness[i] = image[0]
                else:  # by the solver's tolerances alone
                    outcome[i] = UNDECIDED
                    status[i] = "undecided"
            seconds[i] = time.perf_counter() - started
        low = threat.saturated(x, low)
        return Evidence(low=low, witness=witness, outcome=outcome, seconds=seconds, status=status)

    def _result(self, problem: Input, low: float, high: float) -> Found:
        solver = self._solver(problem.threat.norm)
        tighten = self._tighten
        if bool(margins(problem.logits(problem.x).unsqueeze(0), problem.label) <= 0):
            return Found(0.0, problem.x, "done: misclassified", "done")
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
