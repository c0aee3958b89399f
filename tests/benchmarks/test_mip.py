"""Exact answers by BaB and MIP beside linear regions; networks trained plainly and by MMR."""

import time
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from tabulate import tabulate
from torch import Tensor, nn

from bench.data.datasets import load
from bench.jobs.training import train
from bench.jobs.verdict import replay
from bench.plugins.training import Training
from evaluators.bab import Bab
from evaluators.interface import EXACT, Evaluator, Interval
from evaluators.mip import Mip
from evaluators.region import Region
from methods.interface import Method
from methods.mmr import Mmr
from methods.plain import Plain
from relu.bounds.alpha_crown import relaxations
from relu.bounds.ball import ball_of
from relu.network.activation import crossing
from relu.network.architectures import build
from relu.network.layers import to_vectors
from relu.network.reader import in_float64, read_layers
from relu.threat import Threat

THREAT = Threat(norm="linf", eps=0.1)
POINTS = 40
EVALUATORS: dict[str, Evaluator] = {
    "region": Region(),
    "BaB, decide": Bab(),
    "BaB, radius": Bab(mode="radius", seconds=10.0),
    "MIP, decide": Mip(),
    "MIP, radius": Mip(mode="radius", seconds=10.0),
}
METHODS: dict[str, Method] = {"plain": Plain(), "MMR": Mmr()}


@dataclass(frozen=True)
class Judged:
    """What an evaluator found out about some inputs of a network, alone."""

    milliseconds: float
    decided: float
    exact: float


@pytest.fixture(scope="module")
def networks() -> dict[str, tuple[nn.Sequential, Tensor, Tensor]]:
    """Networks on digits, and the first inputs that each classifies correctly."""
    data = load("digits")
    found = {}
    for name, method in METHODS.items():
        net = build("fc_small", data.shape, data.classes)
        training = Training(epochs=50)
        train(net, method, data, threat=THREAT, training=training, seed=0, augmented=False)
        net.requires_grad_(False).eval()
        right = net(data.x_test).argmax(1) == data.y_test
        found[name] = net, data.x_test[right][:POINTS], data.y_test[right][:POINTS]
    return found


def judge(evaluator: Evaluator, net: nn.Sequential, x: Tensor, y: Tensor) -> Judged:
    zero = torch.zeros(len(x), dtype=torch.float64)
    known = Interval(low=zero, high=torch.full_like(zero, torch.inf))
    started = time.perf_counter()
    evidence = evaluator.judge(net, x, y, threat=THREAT, known=known)
    seconds = time.perf_counter() - started
    found = replay(in_float64(net), x, y, evidence, threat=THREAT)
    assert (found.low <= found.high).all()
    decided = (found.low >= THREAT.eps) | (found.high <= THREAT.eps)
    exact = found.high - found.low <= EXACT
    return Judged(
        1e3 * seconds / len(x), float(decided.double().mean()), float(exact.double().mean())
    )


def unstable(net: nn.Sequential, x: Tensor) -> float:
    """Hidden units per input that may switch within eps."""
    layers = read_layers(in_float64(net), tuple(x.shape[1:]))
    bounds = relaxations(layers, ball_of(to_vectors(layers, x.double()), THREAT))[-1].bounds
    return sum(float(crossing(low, high).sum()) for low, high in bounds) / len(x)


@pytest.mark.parametrize("evaluator", EVALUATORS)
@pytest.mark.parametrize("method", METHODS)
def test_one_input(benchmark: BenchmarkFixture, networks: Any, method: str, evaluator: str) -> None:
    net, x, y = networks[method]
    benchmark.pedantic(judge, (EVALUATORS[evaluator], net, x[:5], y[:5]), rounds=2)


def test_mip_against_linear_regions(
    networks: Any, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {
        (method, name): judge(evaluator, *networks[method])
        for method in METHODS
        for name, evaluator in EVALUATORS.items()
    }
    units = {method: unstable(*networks[method][:2]) for method in METHODS}
    lines = [
        (
            method,
            f"{units[method]:.1f}",
            name,
            f"{f.milliseconds:.1f}",
            f"{f.decided:.0%}",
            f"{f.exact:.0%}",
        )
        for (method, name), f in found.items()
    ]
    headers = ("network", "unstable units", "evaluator", "ms per input", "decided at eps", "exact")
    with capsys.disabled():
        print(f"\n{tabulate(lines, headers=headers, tablefmt='pipe', disable_numparse=True)}")
    benchmark.pedantic(unstable, networks["MMR"][:2], rounds=1)
    for method in METHODS:
        assert found[method, "MIP, decide"].decided == 1
        assert found[method, "BaB, decide"].decided == 1
    mip = found["plain", "MIP, decide"].milliseconds
    assert found["plain", "BaB, decide"].milliseconds < mip / 2
    # What MMR trains for: fewer units that switch, so that both ways get exact, and fast.
    assert units["MMR"] < units["plain"] / 2
    assert found["MMR", "region"].decided > found["plain", "region"].decided
    assert found["MMR", "MIP, decide"].milliseconds < found["plain", "MIP, decide"].milliseconds / 2
    assert found["MMR", "region"].milliseconds < found["MMR", "MIP, radius"].milliseconds
