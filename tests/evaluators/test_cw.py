"""The Carlini-Wagner attack: its presets, what it refuses, and its witnesses."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from bench.__main__ import main
from bench.data.datasets import DataSet
from bench.jobs.verdict import replay
from evaluators.cw import PRESETS, Cw, Preset
from evaluators.interface import Interval
from relu.classes import margins
from relu.errors import InputError
from relu.network.reader import in_float64
from relu.threat import Threat
from tests.evaluators.test_contract import unknown
from tests.oracles import Layer, exact_radius
from tests.strategies import seeds, tiny_nets

L2 = Threat(norm="l2", eps=0.3)


def test_the_default_is_the_papers_and_fast_is_a_hundred_times_cheaper() -> None:
    assert Cw().effort == Preset(
        steps=10_000, binary_search_steps=20, lr=0.01, first_step=math.inf, constant=0.001
    )
    assert Cw(preset="fast").effort == Preset(200, 6, 0.1, 0.2, 0.1)
    paper = PRESETS["paper"]
    fast = PRESETS["fast"]
    assert paper.steps * paper.binary_search_steps >= 100 * fast.steps * fast.binary_search_steps


def test_what_is_given_goes_before_the_preset() -> None:
    assert Cw(preset="fast", steps=7, lr=0.5).effort == Preset(7, 6, 0.5, 0.2, 0.1)
    assert Cw(binary_search_steps=3, constant=2.0).effort == Preset(10_000, 3, 0.01, math.inf, 2.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("binary_search_steps", -1),
        ("lr", 0.0),
        ("constant", -2.0),
        ("bisection_steps", -1),
        ("first_step", 0.0),
        ("lr", float("nan")),
    ],
)
def test_settings_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"cw\.{field} must be .*, got {value}"):
        Cw(**{field: value})  # type: ignore[arg-type]


def test_an_unknown_preset_is_one_line_that_names_the_valid_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "--methods", "plain", "--norm", "l2", "--eval", "cw", "--out", str(tmp_path)]
    assert main([*command, "--set", "cw.preset=quick"]) == 2
    err = capsys.readouterr().err
    assert "cw.preset must be one of paper, fast" in err
    assert err.count("\n") == 1


def test_other_norms_than_l2_are_refused(digits_net: nn.Sequential) -> None:
    assert Cw().refusal(digits_net, L2) is None
    for other in (Threat(norm="linf", eps=0.1), Threat(norm="l1", eps=1.0)):
        assert Cw().refusal(digits_net, other) == "an attack for l2 alone"


@pytest.mark.parametrize("box", [(0.0, 1.0), (-0.1, 1.1)])
def test_every_input_has_a_witness_that_is_not_refused(
    box: tuple[float, float], digits: DataSet, digits_net: nn.Sequential
) -> None:
    x = digits.x_test[:40]
    y = digits.y_test[:40]
    threat = Threat(norm="l2", eps=0.3, box=box)
    known = unknown(digits_net, x, y)
    found = Cw(preset="fast", binary_search_steps=4, steps=100).judge(
        digits_net, x, y, threat=threat, known=known
    )
    checked = replay(in_float64(digits_net), x, y, found, threat=threat)
    correct = known.high > 0
    assert set(checked.outcome) <= {"done", "skipped: already decided"}
    assert correct.sum() > 30
    assert checked.high[correct].isfinite().all()
    assert 0.1 < checked.high[correct].mean() < 1.5
    assert (found.low == 0).all()


def test_bisection_steps_bring_witnesses_closer_and_never_away(
    digits: DataSet, digits_net: nn.Sequential
) -> None:
    x = digits.x_test[:30]
    y = digits.y_test[:30]
    known = unknown(digits_net, x, y)
    high = []
    for bisection_steps in (0, 20):
        attack = Cw(preset="fast", steps=30, binary_search_steps=2, bisection_steps=bisection_steps)
        found = attack.judge(digits_net, x, y, threat=L2, known=known)
        high.append(L2.distance(x, found.witness).nan_to_num(torch.inf))
    assert (high[1] <= high[0]).all()
    assert (high[1] < high[0]).any()


def test_fooled_inputs_cost_nothing_and_certified_ones_are_attacked_all_the_same(
    digits_net: nn.Sequential,
) -> None:
    x = torch.rand(3, 1, 8, 8)
    y = digits_net(x).argmax(1)
    known = Interval(
        low=torch.tensor([0.0, 0.1, 0.2]).double(),
        high=torch.tensor([0.0, 0.1, torch.inf]).double(),
    )
    found = Cw(preset="fast").judge(digits_net, x, y, threat=L2, known=known)
    assert found.outcome == ["skipped: already decided", "skipped: already decided", "done"]
    assert found.witness[:2].isnan().all()
    assert not found.witness[2].isnan().any()


@settings(max_examples=12, deadline=None)
@given(drawn=tiny_nets(), seed=seeds)
def test_no_witness_is_nearer_than_the_exact_radius(
    drawn: tuple[nn.Sequential, int], seed: int
) -> None:
    net, d = drawn
    x = torch.rand(2, d, generator=torch.Generator().manual_seed(seed))
    y = net(x).argmax(1)
    layers: list[Layer] = [
        (layer.weight.double().numpy(), layer.bias.double().numpy())
        for layer in net
        if isinstance(layer, nn.Linear)
    ]
    found = Cw(preset="fast").judge(net, x, y, threat=L2, known=unknown(net, x, y))
    checked = replay(in_float64(net), x, y, found, threat=L2)
    for i, high in enumerate(checked.high.tolist()):
        exact = exact_radius(layers, x[i].double().numpy(), int(y[i]), "l2")
        assert high >= exact - 1e-7 or np.isinf(exact)


def test_a_constant_network_has_no_witness() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).requires_grad_(False)
    net.load_state_dict({"1.weight": torch.zeros(2, 4), "1.bias": torch.tensor([1.0, 0.0])})
    x = torch.rand(3, 4)
    y = torch.zeros(3, dtype=torch.long)
    assert (margins(net(x), y) > 0).all()
    found = Cw(preset="fast").judge(net, x, y, threat=L2, known=unknown(net, x, y))
    assert found.witness.isnan().all()
    assert set(found.outcome) == {"done"}
