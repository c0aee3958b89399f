"""The region evaluator: closed forms, budgets, exactness, time limits, refusals."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.__main__ import main
from bench.data.datasets import DataSet
from bench.jobs.training import train
from bench.jobs.verdict import replay
from bench.parsing import NORMS
from bench.plugins.training import Training
from evaluators.interface import Evidence, Interval
from evaluators.region import Region
from methods.mmr import Mmr
from relu.classes import margins
from relu.errors import InputError
from relu.network.architectures import build
from relu.network.reader import in_float64
from relu.threat import Norm, Threat

EPS = {"linf": 0.1, "l2": 0.3, "l1": 1.0}


def judge(region: Region, net: nn.Module, x: Tensor, y: Tensor, norm: Norm) -> Evidence:
    wrong = margins(in_float64(net)(x.double()), y) <= 0
    high = torch.where(wrong, 0.0, torch.inf).double()
    known = Interval(low=torch.zeros_like(high), high=high)
    return region.judge(net, x, y, threat=Threat(norm=norm, eps=EPS[norm]), known=known)


@pytest.fixture(scope="module")
def mmr_net(digits: DataSet) -> nn.Sequential:
    net = build("fc_small", digits.shape, digits.classes)
    train(
        net,
        Mmr(),
        digits,
        threat=Threat(norm="linf", eps=0.1),
        training=Training(epochs=30),
        seed=0,
        augmented=False,
    )
    return net.requires_grad_(False).eval()


@pytest.mark.parametrize(
    ("norm", "radius"), [("linf", 0.8 / 6), ("l2", 0.8 / 20**0.5), ("l1", 0.2)]
)
def test_a_linear_network_is_exact(norm: Norm, radius: float) -> None:
    # f = (2 x1 + 4 x2 - 1, 1.2) at x = (1/2, 1/2): the gap is 0.8, its normal (2, 4)
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2)).requires_grad_(False)
    net.get_parameter("1.weight").copy_(torch.tensor([[2.0, 4.0], [0.0, 0.0]]))
    net.get_parameter("1.bias").copy_(torch.tensor([-1.0, 1.2]))
    x = torch.full((1, 2), 0.5)
    y = torch.tensor([0])
    found = judge(Region(neighbours=0), net, x, y, norm)
    assert found.outcome == ["done: exact"]
    assert found.low.item() == pytest.approx(radius, rel=1e-6)
    assert found.low.item() <= radius + 1e-8


@pytest.mark.parametrize("norm", NORMS)
def test_more_neighbours_and_the_box_help_and_nothing_contradicts(
    norm: Norm, digits: DataSet, digits_net: nn.Sequential
) -> None:
    x = digits.x_test[:60]
    y = digits.y_test[:60]
    before = torch.zeros(60, dtype=torch.float64)
    for region in (Region(neighbours=0, box=False), Region(neighbours=0), Region(neighbours=5)):
        found = judge(region, digits_net, x, y, norm)
        threat = Threat(norm=norm, eps=EPS[norm])
        checked = replay(in_float64(digits_net), x, y, found, threat=threat)
        assert not [o for o in checked.outcome if "refused" in o]
        assert (found.low <= checked.high).all()
        assert (found.low >= before * (1 - 1e-9)).all()
        before = found.low
    assert before.mean() > 0


def test_an_mmr_network_is_mostly_exact_and_the_rest_is_decided(
    digits: DataSet, mmr_net: nn.Sequential
) -> None:
    x = digits.x_test[:100]
    y = digits.y_test[:100]
    found = judge(Region(), mmr_net, x, y, "linf")
    counts = {o: found.outcome.count(o) for o in set(found.outcome)}
    assert counts["done: exact"] > 50
    unlimited = judge(Region(neighbours="unlimited", seconds=20), mmr_net, x, y, "linf")
    assert unlimited.outcome.count("done: exact") >= counts["done: exact"]
    assert (unlimited.low >= found.low).all()


def test_a_search_without_time_is_a_timeout_with_its_bound(
    digits: DataSet, digits_net: nn.Sequential
) -> None:
    x = digits.x_test[:5]
    y = digits.y_test[:5]
    found = judge(Region(neighbours="unlimited", seconds=1e-6), digits_net, x, y, "linf")
    assert "timeout" in found.outcome
    assert (found.low >= judge(Region(), digits_net, x, y, "linf").low).all()


def test_what_is_exact_already_is_skipped(digits: DataSet, digits_net: nn.Sequential) -> None:
    x = digits.x_test[:4]
    y = digits.y_test[:4]
    known = Interval(
        low=torch.tensor([0.0, 0.1, 0.0, 0.0]).double(),
        high=torch.tensor([0.0, 0.1, 0.2, torch.inf]).double(),
    )
    found = Region().judge(digits_net, x, y, threat=Threat(norm="linf", eps=0.1), known=known)
    assert [o.startswith("skipped") for o in found.outcome] == [True, True, False, False]


def test_networks_outside_the_theory_are_refused_by_layer() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Sigmoid(), nn.Linear(3, 2))
    reason = Region().refusal(net, Threat(norm="l2", eps=0.1))
    assert reason is not None
    assert "layer 2 (Sigmoid)" in reason


SOFT = """
import math
from torch import nn

def build(shape, classes):
    hidden = nn.Linear(math.prod(shape), 16)
    return nn.Sequential(nn.Flatten(), hidden, nn.Sigmoid(), nn.Linear(16, classes))
"""


def test_their_cells_are_a_dash_with_a_footnote_and_mmr_says_why_it_cannot_train_them(
    tmp_path: Path,
) -> None:
    plugin = tmp_path / "soft.py"
    plugin.write_text(SOFT)
    status = main(
        [
            "run",
            "--methods",
            "plain,mmr",
            "--arch",
            "soft",
            "--plugin",
            str(plugin),
            "--epochs",
            "1",
            "--points",
            "10",
            "--eval",
            "pgd,region",
            "--engine",
            "inline",
            "--out",
            str(tmp_path / "out"),
        ]
    )
    plain, mmr = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    table = (tmp_path / "out" / "leaderboard.md").read_text()
    assert status == 1
    assert "layer 2 (Sigmoid)" in plain["refusals"]["region"]
    assert "– [1]" in table
    assert "[1] region: layer 2 (Sigmoid)" in table
    assert "layer 2 (Sigmoid)" in mmr["failures"]["network"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("neighbours", -1),
        ("seconds", 0.0),
        ("neighbours", 10**9),
    ],
)
def test_settings_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"region\.{field}.*{value}"):
        Region(**{field: value})  # type: ignore[arg-type]
