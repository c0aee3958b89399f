"""Every evaluator that discovery finds keeps the contract of evaluators/interface.py."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor, nn

from bench.discovery import discover
from bench.verdict import Replay, replay
from evaluators.interface import Evaluator, Interval
from relu.names import InputError
from relu.networks import margins
from relu.threat import NORMS, Norm, Threat
from relu.witness import in_float64
from tests.oracles import Layer, exact_radius
from tests.strategies import seeds, tiny_nets

EVALUATORS = discover().evaluators


def unknown(net: nn.Module, x: Tensor, y: Tensor) -> Interval:
    """What the bench knows before the first evaluator: who is misclassified."""
    wrong = margins(in_float64(net)(x.double()), y) <= 0
    high = torch.where(wrong, 0.0, torch.inf).double()
    return Interval(low=torch.zeros_like(high), high=high)


def judged(
    name: str, net: nn.Module, x: Tensor, y: Tensor, threat: Threat, known: Interval | None = None
) -> tuple[Interval, Replay]:
    known = known or unknown(net, x, y)
    evidence = EVALUATORS[name].cls().judge(net, x, y, threat=threat, known=known)
    return known, replay(in_float64(net), x, y, evidence, threat=threat)


@pytest.mark.parametrize("name", EVALUATORS)
def test_it_builds_with_its_defaults_and_refuses_negative_numbers(name: str) -> None:
    assert isinstance(EVALUATORS[name].cls(), Evaluator)
    assert EVALUATORS[name].cls.resource in ("cpu", "gpu")
    for field, default in EVALUATORS[name].fields().items():
        if isinstance(default, int | float) and not isinstance(default, bool):
            with pytest.raises(InputError, match=rf"{name}\.{field}.*-7"):
                EVALUATORS[name].cls(**{field: type(default)(-7)})


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", EVALUATORS)
def test_no_witness_is_refused_and_no_interval_is_empty(
    name: str, norm: Norm, digits_net: nn.Sequential
) -> None:
    threat = Threat(norm=norm, eps={"linf": 0.05, "l2": 0.2, "l1": 0.5}[norm])
    if EVALUATORS[name].cls().refusal(digits_net, threat) is not None:
        pytest.skip("refuses this threat")
    x = torch.rand(40, 1, 8, 8)
    y = digits_net(x).argmax(1)
    y[:5] = (y[:5] + 1) % 10
    known, checked = judged(name, digits_net, x, y, threat)
    assert not [o for o in checked.outcome if "refused" in o]
    assert (checked.low <= checked.high.minimum(known.high)).all()


@pytest.mark.parametrize("name", EVALUATORS)
def test_what_is_decided_is_left_alone(name: str, digits_net: nn.Sequential) -> None:
    x = torch.rand(6, 1, 8, 8)
    y = digits_net(x).argmax(1)
    radius = torch.full((6,), 0.01).double()
    decided = Interval(low=radius, high=radius)
    _, checked = judged(name, digits_net, x, y, Threat(norm="linf", eps=0.1), decided)
    assert all(outcome.startswith("skipped") for outcome in checked.outcome)


@pytest.mark.parametrize("name", EVALUATORS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=tiny_nets(), seed=seeds)
def test_the_exact_radius_lies_between_low_and_high(
    name: str, drawn: tuple[nn.Sequential, int], seed: int
) -> None:
    net, d = drawn
    x = torch.rand(2, d, generator=torch.Generator().manual_seed(seed))
    y = net(x).argmax(1)
    layers: list[Layer] = [
        (layer.weight.double().numpy(), layer.bias.double().numpy())
        for layer in net if isinstance(layer, nn.Linear)
    ]  # fmt: skip
    for norm in ("linf", "l1"):
        threat = Threat(norm=norm, eps=0.1)
        if EVALUATORS[name].cls().refusal(net, threat) is not None:
            continue
        known, checked = judged(name, net, x, y, threat)
        high = checked.high.minimum(known.high)
        for i in range(len(x)):
            exact = exact_radius(layers, x[i].double().numpy(), int(y[i]), norm)
            assert checked.low[i] <= exact + 1e-7
            assert exact <= high[i] + 1e-7 or np.isinf(exact)
