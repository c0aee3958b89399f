"""The ensemble: what its witnesses are, who is asked what, and how long it goes on."""

import time
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.parsing import NORMS
from evaluators.ensemble import Ensemble
from evaluators.interface import Evidence, Interval
from evaluators.pgd import Pgd
from relu.attacks import apgd, square
from relu.attacks.witness import CLEAR_IN_FLOAT32, adversarial
from relu.classes import margins
from relu.network.reader import in_float64
from relu.threat import Norm, Threat
from tests.evaluators.test_contract import unknown
from tests.relu.attacks.problems import Staircase, radii, tiny

EPS: dict[Norm, float] = {"linf": 0.05, "l2": 0.3, "l1": 1.0}
SMALL: dict[str, Any] = {"steps": 20, "restarts": 1, "targets": 3, "square_steps": 20, "rounds": 1}


def judged(
    net: nn.Module, x: Tensor, y: Tensor, threat: Threat, **fields: Any
) -> tuple[Evidence, Tensor]:
    """The evidence about inputs of which nothing is known, and the distances of its witnesses."""
    evidence = Ensemble(**fields).judge(net, x, y, threat=threat, known=unknown(net, x, y))
    return evidence, threat.distance(x, evidence.witness).nan_to_num(torch.inf)


def inputs(net: nn.Module, count: int) -> tuple[Tensor, Tensor]:
    x = torch.rand(count, 1, 8, 8)
    return x, net(x).argmax(1)


@pytest.mark.parametrize("norm", NORMS)
def test_witnesses_lie_in_box_and_ball_and_fool_beyond_the_rounding_of_float32(
    norm: Norm, digits_net: nn.Sequential
) -> None:
    threat = Threat(norm=norm, eps=EPS[norm])
    x, y = inputs(digits_net, 60)
    evidence, high = judged(digits_net, x, y, threat, **SMALL)
    assert 0 < (high <= threat.eps).sum() < 60
    found = high.isfinite()
    z = evidence.witness[found]
    assert found.all()
    assert threat.in_box(z).all()
    assert adversarial(in_float64(digits_net), z, y[found]).all()
    logits = in_float64(digits_net)(z.double())
    clear = CLEAR_IN_FLOAT32 * logits.abs().amax(1)
    assert (margins(logits, y[found]) <= -clear * (1 - 1e-3)).all()
    assert (margins(digits_net(z), y[found]) < 0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_no_witness_is_out_of_the_ball_by_rounding_alone(
    norm: Norm, digits_net: nn.Sequential
) -> None:
    threat = Threat(norm=norm, eps=EPS[norm])
    x, y = inputs(digits_net, 60)
    _, high = judged(digits_net, x, y, threat, **SMALL, bisection_steps=0)
    assert (high <= threat.eps).any()
    assert not ((high > threat.eps) & (high < EPS[norm] * (1 + 1e-5))).any()


@pytest.mark.parametrize("norm", NORMS)
def test_it_fools_at_least_as_many_as_pgd(norm: Norm, digits_net: nn.Sequential) -> None:
    threat = Threat(norm=norm, eps=EPS[norm])
    x, y = inputs(digits_net, 200)
    known = unknown(digits_net, x, y)
    pgd = Pgd(growth=1.0).judge(digits_net, x, y, threat=threat, known=known)
    theirs = threat.distance(x, pgd.witness) <= threat.eps
    _, high = judged(digits_net, x, y, threat, **SMALL)
    assert (high <= threat.eps).sum() >= theirs.sum()
    assert not (theirs & (high > threat.eps)).sum() > 1


def test_witnesses_are_near_the_exact_radii_of_a_tiny_network() -> None:
    net, x, y = tiny(0)
    for norm in ("linf", "l1"):
        exact = radii(net, x, y, norm)
        _, high = judged(net, x, y, Threat(norm=norm, eps=0.02), **SMALL)
        assert (high >= exact).all()
        assert (high / exact).median() < 1.05


@pytest.mark.parametrize("norm", NORMS)
def test_where_gradients_are_zero_square_finds_witnesses(norm: Norm) -> None:
    net = Staircase()
    x = 0.3 + 0.2 * torch.rand(10, 1, 8, 8)
    y = torch.zeros(10, dtype=torch.long)
    threat = Threat(norm=norm, eps={"linf": 0.3, "l2": 3.0, "l1": 20.0}[norm])
    settings = {**SMALL, "growth": 1.0, "square_steps": 300}
    _, with_square = judged(net, x, y, threat, **settings)
    _, without = judged(net, x, y, threat, **settings | {"square_steps": 0})
    assert not (without <= threat.eps).any()
    assert (with_square <= threat.eps).sum() >= 5


def test_decided_inputs_are_spared_and_certified_ones_attacked_all_the_same(
    digits_net: nn.Sequential,
) -> None:
    x, y = inputs(digits_net, 3)
    known = Interval(
        low=torch.tensor([0.0, 0.0, 0.2], dtype=torch.float64),
        high=torch.tensor([0.0, 0.1, torch.inf], dtype=torch.float64),
    )
    threat = Threat(norm="linf", eps=0.1)
    evidence = Ensemble(**SMALL).judge(digits_net, x, y, threat=threat, known=known)
    assert evidence.outcome == ["skipped: already decided", "skipped: already decided", "done"]
    assert evidence.witness[:2].isnan().all()
    assert not evidence.witness[2].isnan().any()


def test_exact_inputs_are_spared(digits_net: nn.Sequential) -> None:
    x, y = inputs(digits_net, 4)
    radius = torch.full((4,), 0.3, dtype=torch.float64)
    known = Interval(low=radius, high=radius)
    evidence = Ensemble().judge(digits_net, x, y, threat=Threat(norm="l2", eps=0.1), known=known)
    assert evidence.statuses == ["skipped"] * 4


class Calls:
    """Counts how many inputs an attack is asked about, and asks it."""

    def __init__(self, attack: Any) -> None:
        self.attack = attack
        self.sizes: list[int] = []

    def __call__(self, net: nn.Module, x: Tensor, y: Tensor, **fields: Any) -> Any:
        self.sizes.append(len(x))
        return self.attack(net, x, y, **fields)


def test_rounds_end_once_one_finds_nothing_and_each_sees_only_what_is_left(
    digits_net: nn.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    ascents, searches = Calls(apgd.ascend), Calls(square.search)
    monkeypatch.setattr(apgd, "ascend", ascents)
    monkeypatch.setattr(square, "search", searches)
    x, y = inputs(digits_net, 40)
    fields = {**SMALL, "rounds": 50, "growth": 1.0}
    _, high = judged(digits_net, x, y, Threat(norm="linf", eps=0.05), **fields)
    assert 2 <= len(searches.sizes) < 10
    assert ascents.sizes[0] == 40
    assert ascents.sizes == sorted(ascents.sizes, reverse=True)
    assert searches.sizes[-1] == int((high > 0.05).sum())


def test_certified_inputs_are_attacked_once_and_others_again(
    digits_net: nn.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = Calls(square.search)
    monkeypatch.setattr(square, "search", searches)
    x, y = inputs(digits_net, 10)
    low = torch.tensor([1e-6] * 4 + [0.0] * 6, dtype=torch.float64)
    known = Interval(low=low, high=torch.full_like(low, torch.inf))
    threat = Threat(norm="linf", eps=1e-6)
    Ensemble(**SMALL | {"growth": 1.0}).judge(digits_net, x, y, threat=threat, known=known)
    assert searches.sizes == [10, 6]


def test_it_stops_when_its_time_is_over(digits_net: nn.Sequential) -> None:
    x, y = inputs(digits_net, 5)
    fields: dict[str, Any] = {"restarts": 10_000, "seconds": 0.02, "growth": 1.0}
    started = time.process_time()
    evidence, _ = judged(digits_net, x, y, Threat(norm="linf", eps=1e-4), **fields)
    assert time.process_time() - started < 5
    assert evidence.statuses == ["done"] * 5


def test_growth_takes_one_ascent_a_ball_from_where_the_last_ended(
    digits_net: nn.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[bool] = []
    real = apgd.ascend

    def ascend(*args: Any, **fields: Any) -> Any:
        starts.append(fields["start"] is not None)
        return real(*args, **fields)

    monkeypatch.setattr(apgd, "ascend", ascend)
    x, y = inputs(digits_net, 10)
    fields = {**SMALL, "fab_steps": 0, "restarts": 2, "rounds": 1}
    _, high = judged(digits_net, x, y, Threat(norm="linf", eps=1e-3), **fields)
    assert high.isfinite().all()
    assert starts[:6] == [False] * 6  # two losses, once and in two restarts
    assert 2 <= len(starts[6:]) <= 18  # 1.5^17 of 0.001 is the whole box
    assert all(starts[6:])


def test_a_constant_network_has_no_witness_and_no_endless_search() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).requires_grad_(False)
    net.load_state_dict({"1.weight": torch.zeros(2, 4), "1.bias": torch.tensor([1.0, 0.0])})
    x = torch.rand(3, 4)
    y = torch.zeros(3, dtype=torch.long)
    evidence, _ = judged(net, x, y, Threat(norm="l2", eps=0.1), **SMALL)
    assert evidence.witness.isnan().all()


def test_an_empty_batch_is_no_trouble(digits_net: nn.Sequential) -> None:
    evidence, _ = judged(
        digits_net,
        torch.zeros(0, 1, 8, 8),
        torch.zeros(0, dtype=torch.long),
        Threat(norm="l1", eps=1.0),
    )
    assert len(evidence.witness) == 0
