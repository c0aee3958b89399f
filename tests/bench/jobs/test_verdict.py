import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from bench.jobs.verdict import BadEvidence, combine, replay
from bench.parsing import NORMS
from evaluators.interface import Evidence
from relu.network.reader import in_float64
from relu.threat import Norm, Threat

Linear = Callable[[Tensor, Tensor], nn.Sequential]


@pytest.fixture
def halves(linear_net: Linear) -> nn.Module:
    """Class 0 where the first pixel is below 0.5, class 1 above, a tie exactly there."""
    net = linear_net(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.tensor([0.5, -0.5]))
    return in_float64(net)


def evidence(witness: list[list[float]], low: list[float] | None = None) -> Evidence:
    n = len(witness)
    return Evidence(
        low=torch.tensor(low or [0.0] * n, dtype=torch.float64),
        witness=torch.tensor(witness),
        outcome=["done"] * n,
    )


@pytest.mark.parametrize(
    ("norm", "high"), [("linf", 0.5), ("l2", 0.625**0.5 / 2**0.5), ("l1", 0.75)]
)
def test_high_is_the_benchs_own_distance(halves: nn.Module, norm: Norm, high: float) -> None:
    x = torch.tensor([[0.25, 0.5]])
    y = torch.tensor([0])
    checked = replay(halves, x, y, evidence([[0.75, 0.75]]), threat=Threat(norm=norm, eps=0.1))
    assert checked.high.item() == pytest.approx(high, abs=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_witnesses_are_refused_outside_the_box_or_with_the_right_class(
    halves: nn.Module, norm: Norm
) -> None:
    x = torch.full((5, 2), 0.25)
    y = torch.zeros(5, dtype=torch.long)
    beyond = float(torch.nextafter(torch.tensor(1.0), torch.tensor(2.0)))
    given = [[beyond, 0.5], [0.25, 0.25], [torch.nan, torch.nan], [0.9, torch.nan], [0.5, 0.25]]
    checked = replay(halves, x, y, evidence(given), threat=Threat(norm=norm, eps=0.1))
    assert checked.high[:4].isinf().all()
    assert checked.witness[:4].isnan().all()
    assert checked.high[4] == 0.25  # exactly on the boundary: a tie is adversarial
    assert checked.outcome == [
        "witness refused: outside the box",
        "witness refused: still of class y",
        "done",
        "witness refused: outside the box",
        "done",
    ]


def test_a_witness_that_fools_only_in_float32_is_refused() -> None:
    # In float32 2^24 + 1 rounds to 2^24, so both logits are equal there; in float64 they are not.
    layer = nn.Linear(1, 2, bias=True)
    layer.load_state_dict(
        {
            "weight": torch.tensor([[2.0**24], [2.0**24]]),
            "bias": torch.tensor([1.0, 0.0]),
        }
    )
    net = nn.Sequential(nn.Flatten(), layer)
    z = torch.ones(1, 1)
    assert net(z)[0, 0] == net(z)[0, 1]
    checked = replay(
        in_float64(net),
        torch.zeros(1, 1),
        torch.tensor([0]),
        evidence([[1.0]]),
        threat=Threat(norm="linf", eps=1.0),
    )
    assert checked.high.isinf().all()


@pytest.mark.parametrize(
    "bad",
    [
        Evidence(low=torch.zeros(1), witness=torch.zeros(1, 2), outcome=["done"]),
        Evidence(
            low=torch.zeros(1).double(),
            witness=torch.zeros(1, 2),
            outcome=["done"],
            seconds=torch.tensor([torch.inf]),
        ),
        evidence([[0.5, 0.5]], low=[torch.nan]),
        evidence([[0.5, 0.5]], low=[-0.1]),
        evidence([[0.5, 0.5]] * 2),
        evidence([[0.5] * 3]),
    ],
)
def test_malformed_evidence_is_no_evidence(halves: nn.Module, bad: Evidence) -> None:
    with pytest.raises(BadEvidence):
        replay(halves, torch.zeros(1, 2), torch.tensor([0]), bad, threat=Threat(norm="l2", eps=1.0))


@pytest.mark.parametrize("norm", NORMS)
def test_a_claim_from_the_farthest_point_of_the_box_on_is_infinite_or_malformed(
    halves: nn.Module, norm: Norm
) -> None:
    x = torch.tensor([[0.25, 0.5]])
    threat = Threat(norm=norm, eps=0.1)
    farthest = threat.farthest(x).item()
    for low in (math.inf, float(np.nextafter(farthest, 0.0)), 0.0):
        given = evidence([[torch.nan] * 2], low=[low])
        assert replay(halves, x, torch.tensor([0]), given, threat=threat).low.item() == low
    for low in (farthest, 7.7, 1e300):
        given = evidence([[torch.nan] * 2], low=[low])
        with pytest.raises(BadEvidence, match=r"farthest point of the box.*pixel units, or inf"):
            replay(halves, x, torch.tensor([0]), given, threat=threat)


def test_a_witness_is_compared_with_the_box_in_float64(linear_net: Linear) -> None:
    # class 1 wins below -0.1 alone, which float32's -0.1 is
    net = in_float64(linear_net(torch.tensor([[0.0], [-1.0]]), torch.tensor([0.1, 0.0])))
    x = torch.zeros(2, 1)
    y = torch.zeros(2, dtype=torch.long)
    given = evidence([[-0.1], [-0.0999]])
    assert float(given.witness[0].double()) < -0.1
    checked = replay(net, x, y, given, threat=Threat(norm="linf", eps=0.5, box=(-0.1, 1.1)))
    assert checked.high.isinf().all()
    assert checked.outcome[0] == "witness refused: outside the box"
    assert checked.status == ["refused", "refused"]


def test_a_margin_within_the_rounding_of_float64_is_decided_exactly() -> None:
    # f = (1 + 2^-60 x, relu(x)): at 1 - 2^-53 both are 1 in float64, and class 0 is ahead
    first = nn.Linear(1, 2)
    last = nn.Linear(2, 2)
    first.load_state_dict({"weight": torch.tensor([[1.0], [1.0]]), "bias": torch.zeros(2)})
    last.load_state_dict(
        {"weight": torch.tensor([[2.0**-60, 0.0], [0.0, 1.0]]), "bias": torch.tensor([1.0, 0.0])}
    )
    net = in_float64(nn.Sequential(nn.Flatten(), first, nn.ReLU(), last))
    x = torch.zeros(2, 1)
    y = torch.zeros(2, dtype=torch.long)
    z = torch.tensor([[1.0], [1 + 2.0**-52]], dtype=torch.float64)
    assert (net(z)[0, 0] == net(z)[0, 1]).item()  # a tie, as float64 sees it
    given = Evidence(low=torch.zeros(2).double(), witness=z, outcome=["done"] * 2)
    checked = replay(net, x, y, given, threat=Threat(norm="linf", eps=0.5, box=(0.0, 2.0)))
    assert checked.high.tolist() == [math.inf, 1 + 2.0**-52]
    assert checked.outcome[0] == "witness refused: still of class y"


@pytest.mark.parametrize(
    ("low", "high", "contradicted"),
    [
        (0.25, 0.25, True),
        (0.3, 0.25, True),
        (0.2499999, 0.25, False),
        (0.0, 0.0, False),
        (np.inf, np.inf, False),
        (np.inf, 0.25, True),
        (1e-300, 0.0, True),
    ],
)
def test_a_low_speaks_of_the_closed_ball(low: float, high: float, contradicted: bool) -> None:
    verdict = combine(
        clean([high > 0]), {"kw": table([low], [np.inf]), "pgd": table([0.0], [high])}
    )
    assert bool(verdict.contradictions) is contradicted
    assert verdict.table["low"].tolist() == [0.0 if contradicted else low]


def test_who_is_contradicted_elsewhere_certifies_nothing() -> None:
    evidence = {"a": table([0.3, 0.2], [np.inf] * 2), "b": table([0.1, 0.1], [np.inf] * 2)}
    verdict = combine(clean([True, True]), evidence, withdrawn=["a"])
    assert verdict.table["low"].tolist() == [0.1, 0.1]


def test_a_status_that_is_none_is_malformed_and_old_evidence_has_its_outcomes_words(
    halves: nn.Module,
) -> None:
    x = torch.full((3, 2), 0.25)
    y = torch.zeros(3, dtype=torch.long)
    nothing = torch.full((3, 2), torch.nan)
    threat = Threat(norm="linf", eps=0.1)
    words = ["done: exact", "skipped: already decided", "gurobi fell over"]
    old = Evidence(low=torch.zeros(3).double(), witness=nothing, outcome=words)
    assert replay(halves, x, y, old, threat=threat).status == ["done", "skipped", "failed"]
    typed = dataclasses.replace(old, status=["done", "timeout", "undecided"])
    assert replay(halves, x, y, typed, threat=threat).status == typed.status
    object.__setattr__(typed, "status", ["done", "done", "perhaps"])
    with pytest.raises(BadEvidence, match=r"status must be of done, skipped, .*, got 'perhaps'"):
        replay(halves, x, y, typed, threat=threat)


def clean(correct: list[bool]) -> pd.DataFrame:
    return pd.DataFrame({"index": range(len(correct)), "correct": correct})


def table(low: list[float], high: list[float], index: list[int] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"index": index or list(range(len(low))), "low": low, "high": high})


def test_intervals_are_intersected_input_by_input() -> None:
    inf = np.inf
    verdict = combine(
        clean([True, True, False]),
        {
            "a": table([0.1, 0.0, 0.0], [inf, 0.4, inf]),
            "b": table([0.05, 0.2], [0.3, inf]),
        },
    )
    assert verdict.table["low"].tolist() == [0.1, 0.2, 0.0]
    assert verdict.table["high"].tolist() == [0.3, 0.4, 0.0]
    assert not verdict.contradictions


def test_a_lying_certificate_is_named_and_all_its_kind_withdrawn() -> None:
    verdict = combine(
        clean([True, True]),
        {
            "liar": table([0.5, 0.7], [np.inf, np.inf]),
            "pgd": table([0.0, 0.0], [0.3, 0.9]),
            "good": table([0.2, 0.1], [np.inf, np.inf]),
        },
    )
    (only,) = verdict.contradictions
    assert (only.index, only.low_by, only.high_by) == (0, "liar", "pgd")
    assert "test input 0: liar proves radius >= 0.5, but pgd has a witness at 0.3" in str(only)
    assert verdict.table["low"].tolist() == [0.2, 0.1]


def test_a_certificate_for_a_misclassified_input_is_a_contradiction() -> None:
    verdict = combine(clean([False]), {"liar": table([0.1], [np.inf])})
    assert verdict.contradictions[0].high_by == "the clean input"


def test_no_evidence_leaves_everything_open() -> None:
    verdict = combine(clean([True, False]), {})
    assert verdict.table["high"].tolist() == [np.inf, 0.0]
