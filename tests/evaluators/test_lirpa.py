"""auto_LiRPA as a second opinion: it agrees, it is asked politely, and its absence is a dash."""

import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
import packaging.version
import pytest
import torch
from torch import Tensor, nn

from bench.__main__ import main
from bench.data.datasets import DataSet
from bench.parsing import NORMS
from evaluators._auto_lirpa import HINT, auto_lirpa
from evaluators._lirpa_rounding import rounding_errors
from evaluators.interface import Evidence, Interval
from evaluators.lirpa import Lirpa
from relu.bounds.ball import ball_of
from relu.bounds.linear import margin_lower_bounds, relax
from relu.errors import InputError
from relu.network.layers import to_vectors
from relu.network.reader import in_float64, read_layers
from relu.threat import Norm, Threat

try:
    auto_lirpa()
except ImportError:
    installed = False
else:
    installed = True
needs_it = pytest.mark.skipif(not installed, reason=HINT)


def judged(evaluator: Lirpa, net: nn.Module, x: Tensor, y: Tensor, threat: Threat) -> Evidence:
    open_ = Interval(
        low=torch.zeros(len(x)).double(), high=torch.full((len(x),), torch.inf).double()
    )
    return evaluator.judge(net, x, y, threat=threat, known=open_)


@needs_it
@pytest.mark.oracle
@pytest.mark.parametrize("norm", NORMS)
def test_it_certifies_what_crown_certifies(
    norm: Norm, digits: DataSet, digits_net: nn.Sequential
) -> None:
    net = digits_net
    threat = Threat(norm=norm, eps={"linf": 0.02, "l2": 0.1, "l1": 0.3}[norm])
    x = digits.x_test[:120]
    y = digits.y_test[:120]
    evidence = judged(Lirpa(), net, x, y, threat)
    layers = read_layers(in_float64(net), digits.shape)
    ball = ball_of(to_vectors(layers, x.double()), threat, box=norm == "linf")
    expected = margin_lower_bounds(relax(layers, ball, "crown"), y).amin(1)
    clear = expected.abs() > 1e-4
    assert torch.equal((evidence.low > 0)[clear], (expected > 0)[clear])
    assert set(evidence.low.tolist()) == {0.0, threat.eps}
    assert evidence.outcome[0].startswith("done")


@needs_it
@pytest.mark.oracle
@pytest.mark.parametrize("bound", ["IBP", "CROWN-IBP", "CROWN", "CROWN-Optimized"])
def test_its_bounds_run_batch_after_batch_and_none_certifies_a_wrong_class(
    bound: str, digits: DataSet, digits_net: nn.Sequential
) -> None:
    x = digits.x_test[:6]
    y = digits_net(x).argmax(1)
    y[2] = (y[2] + 1) % 10
    threat = Threat(norm="linf", eps=1e-4)
    evaluator = Lirpa(bound=bound, batch=4)  # type: ignore[arg-type]
    low = judged(evaluator, digits_net, x, y, threat).low
    assert low[2] == 0
    assert (low[[0, 1, 3]] == threat.eps).all()


@needs_it
def test_a_network_that_it_cannot_trace_is_an_outcome(digits: DataSet) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.rfft(x.flatten(1)).real[:, :10].to(x.dtype)

    evidence = judged(
        Lirpa(), Odd(), digits.x_test[:3], digits.y_test[:3], Threat(norm="linf", eps=0.1)
    )
    assert (evidence.low == 0).all()
    assert all(outcome.startswith("no bound: ") for outcome in evidence.outcome)


@needs_it
def test_networks_that_the_other_evaluators_refuse_are_bounded(digits: DataSet) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Sigmoid(), nn.Linear(8, 10))
    x = digits.x_test[:10]
    y = net(x).argmax(1)
    assert Lirpa().refusal(net, Threat(norm="linf", eps=0.1)) is None
    found = judged(Lirpa(), net.requires_grad_(False), x, y, Threat(norm="linf", eps=1e-4))
    assert (found.low > 0).all()


def test_without_the_library_its_column_is_a_dash_with_the_way_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("evaluators._auto_lirpa.version", missing)
    status = main(
        [
            "run",
            "--methods",
            "plain",
            "--epochs",
            "1",
            "--points",
            "20",
            "--eval",
            "pgd,lirpa",
            "--engine",
            "inline",
            "--out",
            str(tmp_path),
        ]
    )
    assert status == 0
    (row,) = json.loads((tmp_path / "leaderboard.json").read_text())
    assert row["refusals"] == {"lirpa": HINT}
    table = (tmp_path / "leaderboard.md").read_text()
    assert "– [1]" in table
    assert "pip install --no-deps auto-LiRPA" in table


def test_old_names_are_given_back_to_old_releases_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluators._auto_lirpa.version", lambda _: "0.7.0")
    found = {"packaging.version": packaging.version}
    monkeypatch.setattr("evaluators._auto_lirpa.import_module", lambda name: found.get(name, np))
    monkeypatch.delitem(sys.modules, "numpy.lib.arraysetops", raising=False)
    assert auto_lirpa() is np
    assert "numpy.lib.arraysetops" not in sys.modules


@needs_it
@pytest.mark.parametrize("bound", ["CROWN", "CROWN-Optimized"])
def test_large_numbers_that_cancel_certify_nothing(bound: str) -> None:
    # One affine map whose logits are differences of numbers a million times larger.
    torch.manual_seed(0)
    first = nn.Linear(4, 30)
    last = nn.Linear(30, 3)
    first.bias.data += 1e6
    last.weight.data[1:] = last.weight.data[0] + torch.randn(2, 30) * 1e-9
    net = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last).requires_grad_(False)
    x = torch.rand(8, 4)
    y = net.double()(x.double()).argmax(1)
    evaluator = Lirpa(bound=bound)  # type: ignore[arg-type]
    found = judged(evaluator, net.float(), x, y, Threat(norm="linf", eps=0.01))
    assert not found.low.any()


def products() -> tuple[nn.Sequential, float]:
    """Margin 1 + P x - P x - d x on [0, 1], with P some 1e28 in two orders of factors; and 1 / d.

    At 0 all sums are biases; in float64 the two products of weights differ by more than d.
    """
    generator = torch.Generator().manual_seed(0)
    while True:
        p = torch.randint(2**11, 2**12, (8,), generator=generator).tolist()
        one = [float(p[0] * p[1]), float(p[2] * p[3]), float(p[4] * p[5]), float(p[6] * p[7])]
        two = [float(p[0] * p[3]), float(p[2] * p[5]), float(p[4] * p[7]), float(p[6] * p[1])]
        noise = one[3] * one[2] * one[1] * one[0] - two[3] * two[2] * two[1] * two[0]
        if noise > 0:
            break
    d = float(torch.tensor(noise * 0.9).float())
    layers: list[nn.Module] = [nn.Flatten()]
    for i in range(3):
        column = torch.tensor([one[i], two[i], 1.0])
        layer = nn.Linear(3 if i else 1, 3, bias=True)
        layer.weight.data = torch.diag(column) if i else column.unsqueeze(1)
        layer.bias.data.zero_()
        layers += [layer, nn.ReLU()]
    last = nn.Linear(3, 2)
    last.weight.data = torch.tensor([[one[3], 0.0, 0.0], [0.0, two[3], d]])
    last.bias.data = torch.tensor([1.0, 0.0])
    return nn.Sequential(*layers, last).requires_grad_(False), 1 / d


@needs_it
@pytest.mark.parametrize("bound", ["IBP", "CROWN-IBP", "CROWN", "CROWN-Optimized"])
def test_rounding_is_bounded_over_the_whole_ball(bound: str) -> None:
    net, radius = products()
    x = torch.zeros(1, 1)
    y = torch.tensor([0])
    found = judged(Lirpa(bound=bound), net, x, y, Threat(norm="linf", eps=0.5))  # type: ignore[arg-type]
    assert found.low[0] <= radius


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"lirpa\.batch must be at least 1, got 0"):
        Lirpa(batch=0)


def test_terms_of_batch_norm_that_cancel_count() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2)).double()
    net.eval().requires_grad_(False)
    norm = net[2]
    assert isinstance(norm, nn.BatchNorm1d)
    x = torch.rand(3, 1, 1, 2)
    usual = rounding_errors(net, x, eps=0.1, dtype=torch.float64)
    norm.running_mean = torch.full((2,), 2.0**40, dtype=torch.float64)
    norm.bias.data.fill_(2.0**40)  # what is left of both is of the usual size, and rounded
    errors = rounding_errors(net, x, eps=0.1, dtype=torch.float64)
    assert (usual < 1e-9).all()
    assert (errors > 2.0**40 * torch.finfo(torch.float64).eps).all()


@needs_it
def test_what_the_library_runs_into_costs_its_inputs_alone(
    digits: DataSet, digits_net: nn.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    """oneDNN speaks of memory, too, where it has no layout for a tensor."""

    def fails(*_: object) -> Tensor:
        raise RuntimeError("could not construct a memory descriptor using a format tag")

    monkeypatch.setattr(Lirpa, "_bounded", fails)
    threat = Threat(norm="linf", eps=0.02)
    evidence = judged(Lirpa(), digits_net, digits.x_test[:3], digits.y_test[:3], threat)
    assert evidence.statuses == ["failed"] * 3
    assert "memory descriptor" in evidence.outcome[0]

    def full(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Lirpa, "_bounded", full)
    with pytest.raises(torch.OutOfMemoryError):
        judged(Lirpa(), digits_net, digits.x_test[:3], digits.y_test[:3], threat)
