"""Decides a property: as a network and a threat, judged by the evaluators one after the other."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.jobs.isolation import failed_by
from bench.jobs.open_case import OpenCase, opener
from bench.jobs.runtime import NO_RUNTIME, Runtime, onnx_runtime, torch_runtime
from bench.jobs.verdict import Replay, replay
from bench.jobs.violations import LABEL, Violation
from bench.plugins.catalogue import Plugin
from evaluators.interface import certified_at
from relu.errors import InputError
from relu.network.layers import Shape
from relu.network.onnx import read_onnx
from relu.network.property.case import Case
from relu.network.property.vnnlib import read_property, unzipped
from relu.network.property.vnnlib.records import Property
from relu.threat import Threat

THREAT = Threat(norm="linf", eps=1.0, box=(-1.0, 1.0))
# What is not asked for is not computed: radii, and witnesses that are nearer.
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "pgd": {"bisection_steps": 0, "growth": 1.0},
    "ensemble": {"bisection_steps": 0, "growth": 1.0, "rounds": 1, "targets": 9, "seconds": 5.0},
    "kw": {"bisection_steps": 0},
    "crown": {"bisection_steps": 0},
}
"""of evaluators, where the user says nothing else"""

APART: Mapping[str, float] = {"pgd": 25}
"""attacks that are asked once more, about each disjunct apart, and after evaluators of what cost"""

Evaluators = Sequence[Plugin]
FOREVER = 1e8  # seconds, where there is no limit

Verdict = Literal["sat", "unsat", "unknown", "timed-out"]


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is asked. evaluators: whom; settings: of theirs, the user's.

    network_name: what the command calls the network, None where it does not. seconds: the limit.
    """

    file: Path
    network: Path
    network_name: str | None
    evaluators: Evaluators
    settings: Mapping[str, Mapping[str, Any]]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A verdict, who found it, and what is to be said about it; the violation, if it is "sat"."""

    verdict: Verdict
    by: str = ""
    notes: Sequence[str] = ()
    asked: Property | None = None
    violation: Violation | None = None


def answer(query: Query) -> Answer:
    """The answer to a query. Raises InputError for files that cannot be used."""
    started = time.monotonic()
    asked = read_property(read_file(query.file))
    _require_name(asked, query.network_name)
    content = unzipped(read_file(query.network))
    net = read_onnx(content, fewest=1)
    if net.dtype != "float32":
        raise InputError(f"expected a network that computes in float32, got one in {net.dtype}")
    runtime = onnx_runtime(content)
    shape = tuple(net.shape)
    deadline = started + query.seconds
    result = decided(net, shape, asked, runtime or torch_runtime(net), query, deadline)
    return result if runtime else replace(result, notes=(NO_RUNTIME, *result.notes))


def decided(
    net: nn.Module, shape: Shape, asked: Property, runtime: Runtime, query: Query, deadline: float
) -> Answer:
    """The answer about a network whose inputs have `shape`, until a deadline (monotonic time)."""
    opened = opener(net, shape, asked, runtime)
    return replace(_Decision(opened, asked.cases, query, deadline).answer(), asked=asked)


def read_file(path: Path) -> bytes:
    """A file's content; NAME.gz stands in for NAME. Raises InputError."""
    zipped = path.with_name(path.name + ".gz")
    try:
        return (zipped if zipped.is_file() and not path.exists() else path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}") from error


def _require_name(asked: Property, name: str | None) -> None:
    if name is not None and asked.network is not None and asked.network != name:
        raise InputError(f"--network names {name!r}, but the property's network is {asked.network}")


class _Decision:
    """The way to an answer, evaluator by evaluator."""

    def __init__(
        self,
        opened: Callable[[Case], OpenCase],
        cases: Sequence[Case],
        query: Query,
        deadline: float,
    ) -> None:
        self.reopened = opened
        self.cases = [opened(case) for case in cases]
        self.by = "an empty box"
        self.query = query
        self.deadline = deadline
        self.notes: list[str] = []
        self.late = False

    def answer(self) -> Answer:
        """What the evaluators find out, the cheapest one first."""
        for case in self.cases:
            if (violation := case.violations.at(case.net.center)) is not None:
                return self._said("sat", "the center of the box", violation)
            if (gap := case.violations.empty) is not None:
                self.notes.append(f"no float32 number lies between the bounds of input {gap}")
        for plugin, apart in self._turns():
            if not self._undecided:
                break
            for case in self._parts() if apart else self._undecided:
                if self._left <= 0:
                    break
                if (violation := self._judged(plugin, case)) is not None:
                    return self._said("sat", plugin.cls.label, violation)
                if case.certified:
                    self.by = plugin.cls.label
        if not self._undecided:
            return self._said("unsat", self.by)
        return self._said("timed-out" if self.late or self._left <= 0 else "unknown", "")

    def _turns(self) -> list[tuple[Plugin, bool]]:
        """Who is asked, in order, and whether about each disjunct apart."""
        turns = [(float(plugin.turn[0]), plugin, False) for plugin in self.query.evaluators]
        again = [p for p in self.query.evaluators if p.name in APART]
        turns += [(APART[plugin.name], plugin, True) for plugin in again]
        return [(plugin, apart) for _, plugin, apart in sorted(turns, key=lambda turn: turn[0])]

    @property
    def _undecided(self) -> list[OpenCase]:
        return [case for case in self.cases if not case.certified]

    def _parts(self) -> Iterator[OpenCase]:
        """The undecided cases with several disjuncts, as a case for each of these."""
        for case in self._undecided:
            if len(case.case.disjuncts) > 1:
                for rows in case.case.disjuncts:
                    yield self.reopened(replace(case.case, disjuncts=(rows,)))

    def _said(self, verdict: Verdict, by: str, violation: Violation | None = None) -> Answer:
        return Answer(verdict=verdict, by=by, notes=tuple(self.notes), violation=violation)

    @property
    def _left(self) -> float:
        return self.deadline - time.monotonic()

    def _judged(self, plugin: Plugin, case: OpenCase) -> Violation | None:
        """Takes up what an evaluator proves of a case; the violation that it finds."""
        try:
            evaluator = plugin.build(self._settings(plugin))
            if (reason := evaluator.refusal(case.net, THREAT)) is not None:
                self._note(f"{plugin.cls.label}: {reason}")
                return None
            checked = self._checked(evaluator, case)
        except Exception as error:
            self._note(f"{plugin.cls.label}: {failed_by(error)}")
            return None
        self.late |= "timeout" in checked.status
        if checked.status[0] in ("failed", "refused", "undecided"):
            self._note(f"{plugin.cls.label}: {checked.outcome[0]}")
        violation = _violation(case, checked.witness[0])
        low = case.known.low.maximum(checked.low)
        if bool(certified_at(low, THREAT.eps).all()) and case.violations.exact:
            self._note(f"CONTRADICTION: {plugin.cls.label} certifies a box that holds a violation")
            return violation
        case.known = replace(case.known, low=low)
        case.certified = bool(certified_at(low, THREAT.eps).all())
        return violation

    def _checked(self, evaluator: Any, case: OpenCase) -> Replay:
        x = torch.zeros_like(case.net.center).unsqueeze(0)
        torch.manual_seed(0)
        evidence = evaluator.judge(
            case.net, x.clone(), LABEL.clone(), threat=THREAT, known=case.known
        )
        return replay(case.exact_net, x, LABEL, evidence, threat=THREAT)

    def _settings(self, plugin: Plugin) -> dict[str, Any]:
        """The user's, else this command's; the time that is left, for whoever keeps a limit."""
        fields = plugin.fields()
        usual = dict(SETTINGS.get(plugin.name, {}))
        if "seconds" in fields:
            usual["seconds"] = min(self._left, usual.get("seconds", FOREVER))
        usual |= self.query.settings.get(plugin.name, {})
        return {name: value for name, value in usual.items() if name in fields}

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _violation(case: OpenCase, u: Tensor) -> Violation | None:
    """What a witness of the property's network is to the network itself; NaN: there is none."""
    return None if bool(u.isnan().any()) else case.violations.near(case.net.inputs(u))
