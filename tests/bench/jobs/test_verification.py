"""Verdicts on tiny networks, against linear programs over all of their linear regions."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor, nn

from bench.jobs.runtime import torch_runtime
from bench.jobs.verification import Answer, Query, decided
from bench.plugins.catalogue import Catalogue
from evaluators.interface import Evidence
from relu.network.property.case import Case, Row
from relu.network.property.vnnlib.records import Property, Variable
from tests.onnx_files import tiny_net

INPUTS, OUTPUTS = 2, 3
CLEAR = 1e-4  # verdicts nearer to the boundary than this are not compared


def query(catalogue: Catalogue, names: Sequence[str], seconds: float = 60.0) -> Query:
    plugins = [catalogue.evaluators[name] for name in names]
    return Query(
        file=Path(),
        network=Path(),
        network_name=None,
        evaluators=plugins,
        settings={},
        seconds=seconds,
    )


def verdict_on(net: nn.Module, cases: Sequence[Case], asked: Query, runtime: Any = None) -> Answer:
    some = Property(
        "1.0",
        None,
        Variable("X", "Real", (INPUTS,)),
        Variable("Y", "Real", (OUTPUTS,)),
        tuple(cases),
    )
    return decided(net, (INPUTS,), some, runtime or torch_runtime(net), asked, math.inf)


def deepest(net: nn.Sequential, case: Case) -> float:
    """How far below all bounds of some disjunct outputs get, at most; -inf: the box is empty."""
    hidden, _, last = net
    w1, b1, w2, b2 = (
        t.detach().double().numpy() for t in (*hidden.parameters(), *last.parameters())
    )
    box = [(float(low), float(high)) for low, high in zip(case.lower, case.upper, strict=True)]
    best = -math.inf
    for pattern in itertools.product((0.0, 1.0), repeat=len(b1)):
        on = np.array(pattern)
        sides = (1 - 2 * on)[:, None] * np.column_stack([w1, np.zeros(len(b1))])
        limits = (2 * on - 1) * b1
        a, c = w2 @ (on[:, None] * w1), w2 @ (on * b1) + b2
        for rows in case.disjuncts:
            forms = np.zeros((len(rows), OUTPUTS))
            for i, row in enumerate(rows):
                for j, coefficient in row.coefficients:
                    forms[i, j] = float(coefficient)
            bounds = np.array([float(row.bound) for row in rows])
            below = np.column_stack([forms @ a, np.ones(len(rows))])
            solved = linprog(
                [0.0] * INPUTS + [-1.0],
                A_ub=np.vstack([sides, below]),
                b_ub=np.concatenate([limits, bounds - forms @ c]),
                bounds=[*box, (None, None)],
            )
            best = max(best, -solved.fun if solved.success else -math.inf)
    return best


def draw_cases(draw: np.random.Generator) -> list[Case]:
    """One or two boxes, each with one to three disjuncts of one to three rows."""
    cases = []
    for _ in range(draw.integers(1, 3)):
        lower = [Fraction(int(draw.integers(-9, 9)), 10) for _ in range(INPUTS)]
        upper = [low + Fraction(int(draw.integers(0, 9)), 10) for low in lower]
        disjuncts = [
            tuple(
                Row(
                    tuple((j, Fraction(int(draw.integers(-3, 4)))) for j in range(OUTPUTS)),
                    Fraction(int(draw.integers(-12, 2)), 10),
                    bool(draw.integers(2)),
                )
                for _ in range(draw.integers(1, 4))
            )
            for _ in range(draw.integers(1, 4))
        ]
        cases.append(Case(tuple(lower), tuple(upper), tuple(disjuncts)))
    return cases


def check(answer: Answer, cases: Sequence[Case], net: nn.Sequential, truth: float) -> None:
    """That a verdict is right, and a witness one, in exact arithmetic as in float32."""
    if truth > CLEAR:
        assert answer.verdict in ("sat", "unknown")
    elif truth < -CLEAR:
        assert answer.verdict in ("unsat", "unknown")
    if answer.violation is None:
        assert answer.verdict != "sat"
        return
    x = [Fraction(value) for value in answer.violation.x.tolist()]
    inside = [
        case
        for case in cases
        if all(a <= v <= b for a, v, b in zip(case.lower, x, case.upper, strict=True))
    ]
    for y in (net(answer.violation.x), net.double()(answer.violation.x.double())):
        assert any(case.violated([Fraction(v) for v in y.tolist()]) for case in inside)
    net.float()


@pytest.mark.parametrize("seed", range(12))
def test_verdicts_are_those_of_linear_programs(seed: int, catalogue: Catalogue) -> None:
    net = tiny_net(seed, INPUTS, 4, OUTPUTS)
    cases = draw_cases(np.random.default_rng(seed))
    truth = max(deepest(net, case) for case in cases)
    answer = verdict_on(net, cases, query(catalogue, ["pgd", "crown", "mip"]))
    check(answer, cases, net, truth)
    if abs(truth) > CLEAR and all(_has_floats(case) for case in cases):
        assert answer.verdict == ("sat" if truth > 0 else "unsat")


def _has_floats(case: Case) -> bool:
    pairs = zip(case.lower, case.upper, strict=True)
    return all(low < high or float(low) * 2 % 1 == 0 for low, high in pairs)


@pytest.mark.parametrize("name", ["pgd", "kw", "crown", "region", "region_attack", "mip"])
def test_no_evaluator_alone_is_wrong(name: str, catalogue: Catalogue) -> None:
    for seed in range(100, 103):
        net = tiny_net(seed, INPUTS, 4, OUTPUTS)
        cases = draw_cases(np.random.default_rng(seed))
        truth = max(deepest(net, case) for case in cases)
        check(verdict_on(net, cases, query(catalogue, [name])), cases, net, truth)


def half_case(*rows: Row) -> Case:
    return Case((Fraction(-1),) * INPUTS, (Fraction(1),) * INPUTS, (rows,))


def dense(*rows: Sequence[float]) -> nn.Linear:
    linear = nn.Linear(len(rows[0]), len(rows), bias=False)
    linear.weight = nn.Parameter(torch.tensor(rows))
    return linear


IDENTITY = nn.Sequential(
    dense((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)),
    nn.ReLU(),
    dense((1.0, -1.0, 0.0, 0.0), (0.0, 0.0, 1.0, -1.0), (0.0, 0.0, 0.0, 0.0)),
)
"""its outputs are both inputs, and 0"""
ONE = Fraction(1)


def test_ties_are_violations_but_not_of_strict_rows(catalogue: Catalogue) -> None:
    asked = query(catalogue, ["pgd", "crown", "mip"])
    touching = Row(((0, -ONE),), Fraction(-1))  # y0 >= 1
    answer = verdict_on(IDENTITY, [half_case(touching)], asked)
    assert answer.verdict == "sat"
    assert answer.violation is not None
    assert answer.violation.x[0] == 1
    strictly = replace(touching, strict=True)
    assert verdict_on(IDENTITY, [half_case(strictly)], asked).verdict == "unknown"
    beyond = Row(((0, -ONE),), Fraction(-1000001, 1000000))
    assert verdict_on(IDENTITY, [half_case(beyond)], asked).verdict == "unsat"


def test_conjunctions_must_hold_at_one_point(catalogue: Catalogue) -> None:
    asked = query(catalogue, ["pgd", "crown", "mip"])
    right = Row(((0, -ONE),), Fraction(-1, 4))  # y0 >= 1/4
    left = Row(((0, ONE),), Fraction(1, 5))  # y0 <= 1/5
    assert verdict_on(IDENTITY, [half_case(right)], asked).verdict == "sat"
    assert verdict_on(IDENTITY, [half_case(left)], asked).verdict == "sat"
    assert verdict_on(IDENTITY, [half_case(right, left)], asked).verdict == "unsat"


def test_no_cases_are_unsat_and_points_without_float32_unknown(catalogue: Catalogue) -> None:
    asked = query(catalogue, ["pgd", "mip"])
    assert verdict_on(IDENTITY, [], asked).verdict == "unsat"
    tenth = Case((Fraction(1, 10),) * 2, (Fraction(1, 10),) * 2, ((Row((), Fraction(0)),),))
    answer = verdict_on(IDENTITY, [tenth], asked)
    assert answer.verdict == "unknown"
    assert any("no float32" in note for note in answer.notes)


def test_what_only_attacks_have_seen_is_unknown(catalogue: Catalogue) -> None:
    never = Row(((2, ONE),), Fraction(-1))
    answer = verdict_on(IDENTITY, [half_case(never)], query(catalogue, ["pgd"]))
    assert (answer.verdict, answer.violation) == ("unknown", None)


def test_a_witness_that_the_runtime_refutes_is_pushed_on(catalogue: Catalogue) -> None:
    row = Row(((0, -ONE),), Fraction(-1, 4))

    def pessimist(x: Tensor) -> Tensor:
        """Sees less of the first output than there is."""
        return IDENTITY(x).detach() - torch.tensor([0.1, 0.0, 0.0])

    answer = verdict_on(IDENTITY, [half_case(row)], query(catalogue, ["mip"]), pessimist)
    assert answer.verdict == "sat"
    assert answer.violation is not None
    assert float(answer.violation.x[0]) >= 0.35

    def denier(x: Tensor) -> Tensor:
        return IDENTITY(x).detach() - torch.tensor([10.0, 0.0, 0.0])

    asked = query(catalogue, ["pgd", "crown", "mip"])
    assert verdict_on(IDENTITY, [half_case(row)], asked, denier).verdict == "unknown"


def test_what_the_runtime_alone_sees_is_no_violation(catalogue: Catalogue) -> None:
    beyond = Row(((0, -ONE),), Fraction(-2))  # y0 >= 2

    def optimist(x: Tensor) -> Tensor:
        return IDENTITY(x).detach() + torch.tensor([10.0, 0.0, 0.0])

    for name, verdict in (("pgd", "unknown"), ("kw", "unsat")):
        answer = verdict_on(IDENTITY, [half_case(beyond)], query(catalogue, [name]), optimist)
        assert answer.verdict == verdict


@dataclass(frozen=True, kw_only=True)
class Liar:
    """Certifies everything."""

    label: ClassVar[str] = "liar"
    resource: ClassVar[Literal["cpu"]] = "cpu"
    low: float = math.inf

    def refusal(self, net: nn.Module, threat: Any) -> str | None:
        return None

    def judge(self, net: nn.Module, x: Tensor, y: Tensor, *, threat: Any, known: Any) -> Evidence:
        return Evidence(
            low=torch.full((len(x),), self.low, dtype=torch.float64),
            witness=torch.full_like(x, torch.nan),
            outcome=["done"],
        )


def test_a_certificate_beside_a_violation_is_a_contradiction(catalogue: Catalogue) -> None:
    row = Row(((0, -ONE),), Fraction(-1, 4))

    def denier(x: Tensor) -> Tensor:
        return torch.full((OUTPUTS,), torch.nan)

    honest = catalogue.evaluators["pgd"]
    liar = replace(honest, name="liar", cls=Liar)
    asked = replace(query(catalogue, []), evaluators=[honest, liar])
    answer = verdict_on(IDENTITY, [half_case(row)], asked, denier)
    assert answer.verdict == "unknown"
    assert any(note.startswith("CONTRADICTION: liar") for note in answer.notes)
