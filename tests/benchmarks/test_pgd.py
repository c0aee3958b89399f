"""PGD's step loop beside the bare forward and backward passes that it needs."""

import statistics
import time
from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from bench.data.sources import SOURCES
from bench.jobs.surroundings import keep_freed_memory
from bench.parsing import NORMS
from relu.attacks.pgd import ascend
from relu.classes import margins
from relu.network.architectures import build
from relu.threat import Norm, Threat

STEPS = 10
BATCH = 512
LIMIT = 1.3  # times the bare passes


def problem() -> tuple[nn.Sequential, Tensor, Tensor]:
    """A network that nobody fools, so that everybody takes every step: its bias decides."""
    keep_freed_memory()  # as the bench's workers do
    net = build("cnn", SOURCES["mnist"].shape, 10).requires_grad_(False)
    net.get_parameter("7.bias")[0] = 1e3
    return net, torch.rand(BATCH, 1, 28, 28), torch.zeros(BATCH, dtype=torch.long)


def bare(net: nn.Sequential, x: Tensor, y: Tensor) -> None:
    """STEPS forward and backward passes to the input, and the forward pass of the last check."""
    z = x.clone()
    for _ in range(STEPS):
        z.requires_grad_()
        (_,) = torch.autograd.grad(margins(net(z), y).sum(), z)
        z = z.detach()
    with torch.no_grad():
        net(z)


def attack(net: nn.Sequential, x: Tensor, y: Tensor, norm: Norm) -> None:
    threat = Threat(norm=norm, eps=SOURCES["mnist"].eps[norm])
    _, fooled = ascend(net, x, y, threat=threat, steps=STEPS, loss="margin", leave_when_fooled=True)
    assert not fooled.any()


def test_bare_passes(benchmark: BenchmarkFixture) -> None:
    benchmark.pedantic(bare, problem(), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("norm", NORMS)
def test_pgd(benchmark: BenchmarkFixture, norm: Norm) -> None:
    benchmark.pedantic(attack, (*problem(), norm), rounds=5, warmup_rounds=1)


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
def test_the_step_loop_spends_its_time_in_the_network(norm: Norm) -> None:
    net, x, y = problem()
    ratios = []
    for i in range(26):  # in turn, so that the machine's drift meets both; the first warms up
        before = seconds(lambda: bare(net, x, y))
        ours = seconds(lambda: attack(net, x, y, norm))
        after = seconds(lambda: bare(net, x, y))
        ratios += [2 * ours / (before + after)] if i else []
    print(f"{norm}: {statistics.median(ratios):.2f} times the bare passes", sorted(ratios))
    assert statistics.median(ratios) <= LIMIT, ratios
