"""Inputs that have a radius each, before evaluators of both kinds."""

from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from bench.jobs.by_radius import judge_by_radius
from bench.jobs.verdict import BadEvidence
from evaluators.interface import Evidence, Interval
from relu.threat import Threat

RADII = torch.tensor([0.3, 0.1, 0.3, 0.2, 0.1], dtype=torch.float64)
X = torch.arange(10.0).view(5, 2) / 10
Y = torch.arange(5)
NET = nn.Identity()
KNOWN = Interval(low=torch.arange(5).double(), high=torch.arange(5).double() + 1)


class OfOneRadius:
    """Answers with what it is told of each input, and spoils it."""

    label: ClassVar[str] = "echo"
    resource: ClassVar[Literal["gpu", "cpu"]] = "cpu"

    def __init__(self) -> None:
        self.calls: list[tuple[object, list[int]]] = []

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        return None

    def judge(
        self, net: nn.Module, x: Tensor, y: Tensor, *, threat: Threat, known: Interval
    ) -> Evidence:
        eps = threat.eps
        self.calls.append((eps, y.tolist()))
        radii = threat.each(x)
        witness = x.clone()
        said = [f"done: {float(one)}, {label}" for one, label in zip(radii, y, strict=True)]
        low = known.low + radii
        x.zero_()
        known.low.zero_()
        return Evidence(low=low, witness=witness, outcome=said, seconds=y.double())


class OfEach(OfOneRadius):
    eps_per_input = True


def judged(evaluator: Any, threat: Threat) -> Evidence:
    return judge_by_radius(evaluator, NET, X, Y, threat=threat, known=KNOWN)


@pytest.mark.parametrize("evaluator", [OfOneRadius(), OfEach()])
def test_each_input_is_judged_at_its_own_radius_and_keeps_its_place(evaluator: OfOneRadius) -> None:
    before = X.clone()
    evidence = judged(evaluator, Threat(norm="linf", eps=RADII))
    assert evidence.low.tolist() == (torch.arange(5) + RADII).tolist()
    assert torch.equal(evidence.witness, before)
    assert evidence.outcome == [f"done: {eps}, {i}" for i, eps in enumerate(RADII.tolist())]
    assert evidence.seconds is not None
    assert evidence.seconds.tolist() == [0, 1, 2, 3, 4]
    assert evidence.statuses == ["done"] * 5
    assert torch.equal(X, before)
    assert torch.equal(KNOWN.low, torch.arange(5).double())


def test_who_reads_one_number_is_called_for_each_number() -> None:
    evaluator = OfOneRadius()
    judged(evaluator, Threat(norm="linf", eps=RADII))
    assert evaluator.calls == [(0.1, [1, 4]), (0.2, [3]), (0.3, [0, 2])]
    assert all(isinstance(eps, float) for eps, _ in evaluator.calls)


@pytest.mark.parametrize("evaluator", [OfOneRadius(), OfEach()])
def test_one_radius_of_all_is_one_call_with_a_number(evaluator: OfOneRadius) -> None:
    judged(evaluator, Threat(norm="linf", eps=0.1))
    assert evaluator.calls == [(0.1, [0, 1, 2, 3, 4])]


def test_evidence_of_other_lengths_is_not_shifted_onto_other_inputs() -> None:
    class Shifting(OfOneRadius):
        def judge(self, net: Any, x: Any, y: Any, *, threat: Any, known: Any) -> Evidence:
            count = {0.1: 1, 0.2: 2, 0.3: 2}[threat.eps]  # five in all
            low = torch.zeros(count).double()
            return Evidence(low=low, witness=x[:1].expand(count, 2), outcome=["done"] * count)

    with pytest.raises(BadEvidence, match=r"low of shape \(2,\)"):
        judged(Shifting(), Threat(norm="linf", eps=RADII))
