"""MMR's loss beside the dense way, its memory, and what a certificate costs per input."""

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from bench.data.datasets import load
from bench.jobs.surroundings import keep_freed_memory
from methods.mmr import Mmr
from relu.network.architectures import build
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.regions.search import search
from relu.threat import Threat
from tests.oracles import dense_distances

LINF = Threat(norm="linf", eps=0.1)
METHOD = Mmr(weight=1.0, gamma=0.15)
# Milliseconds per input of a batch of 128 on two cores; how much slower the dense way must be.
LOSS_LIMITS = {"fc1": (0.4, 5.0), "fc10": (2.0, 2.5), "cnn": (3.0, 8.0)}
YARDSTICK = 16.5  # milliseconds that a pass over the yardstick takes on cores of that class
DENSE_BATCH = {"fc1": 32, "fc10": 32, "cnn": 8}  # what fits: for the cnn 0.3 GB
REGION_LIMITS = {0: 2.0, 5: 10.0}  # neighbours -> milliseconds per input


def problem(arch: str, batch: int = 128) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A network on digits, enlarged to MNIST's shape, after a few steps.

    Where hyperplanes lie depends on the images: on noise, many more of the deep ones are near.
    """
    keep_freed_memory()  # as the bench's workers do
    torch.manual_seed(0)
    net = build(arch, (1, 28, 28), 10)
    digits = load("digits")
    x = F.interpolate(digits.x_train[:128], size=28, mode="bilinear")
    y = digits.y_train[:128]
    adam = torch.optim.Adam(net.parameters())
    for _ in range(10):
        step(net, x, y)
        adam.step()
    return net, x[:batch], y[:batch]


def step(net: nn.Sequential, x: Tensor, y: Tensor) -> None:
    """The loss and its gradient at the start of training, where k_B is largest."""
    net.zero_grad()
    METHOD.loss(net, x, y, threat=LINF, progress=0.0).backward()


def dense_step(net: nn.Sequential, x: Tensor, y: Tensor) -> None:
    """The same by dense Jacobians."""
    net.zero_grad()
    d_b, d_d = dense_distances(net, x, y, LINF.q)
    nearest = d_b.topk(round(0.1 * d_b.shape[1]), dim=1, largest=False).values
    gamma = METHOD.gamma
    penalty = (1 - nearest / gamma).relu().mean() + (1 - d_d / gamma).relu().mean()
    (F.cross_entropy(net(x), y) + 0.1 * METHOD.weight * penalty).backward()


def yardstick() -> float:
    """Milliseconds of matrix products and passes over them that no change to the bench changes."""
    weight = torch.ones(12, 104, 104)
    rows = torch.ones(12, 104, 784)
    started = time.perf_counter()
    for _ in range(20):
        (weight @ rows).abs().sum(-1)
    return 1e3 * (time.perf_counter() - started)


def milliseconds(work: Callable[..., object], net: nn.Sequential, x: Tensor, y: Tensor) -> float:
    started = time.perf_counter()
    work(net, x, y)
    return 1e3 * (time.perf_counter() - started) / len(x)


@pytest.mark.parametrize("arch", LOSS_LIMITS)
def test_mmr_loss_and_gradient(benchmark: BenchmarkFixture, arch: str) -> None:
    benchmark.pedantic(step, problem(arch), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("arch", LOSS_LIMITS)
def test_mmr_is_fast_and_many_times_faster_than_the_dense_way(arch: str) -> None:
    net, x, y = problem(arch)
    small = (x[: DENSE_BATCH[arch]], y[: DENSE_BATCH[arch]])
    dense_step(net, *small)
    ours = []
    dense = []
    pace = [yardstick()]
    for _ in range(7):
        ours += [milliseconds(step, net, x, y) for _ in range(2)]
        dense.append(milliseconds(dense_step, net, *small))
        pace.append(yardstick())
    limit, ratio = LOSS_LIMITS[arch]
    slower = max(1.0, statistics.median(pace) / YARDSTICK)  # than the cores the limits are for
    found = statistics.median(dense) / statistics.median(ours)
    print(
        f"\nmmr {arch}: {min(ours):.2f} to {max(ours):.2f} ms per input, "
        f"yardstick {statistics.median(pace):.1f} ms, "
        f"dense {statistics.median(dense):.1f} ms, {found:.1f} times slower"
    )
    assert min(ours) <= limit * slower
    assert found >= ratio


def test_mmr_on_the_cnn_stays_under_two_gigabytes() -> None:
    found = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import peak; peak()"],
        check=True,
        capture_output=True,
        text=True,
    )
    print(f"\nmmr cnn: peak {float(found.stdout):.2f} GB")
    assert float(found.stdout) < 2


def peak() -> None:
    """Prints what this process, torch included, has needed for some steps, in GB.

    Not by getrusage, which counts what the parent needed before, too.
    """
    net, x, y = problem("cnn")
    step(net, x, y)
    (most,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    print(int(most) / 2**20)


@pytest.mark.parametrize("neighbours", REGION_LIMITS)
def test_region_certificates_on_fc1(benchmark: BenchmarkFixture, neighbours: int) -> None:
    keep_freed_memory()
    torch.manual_seed(0)
    net = build("fc1", (1, 28, 28), 10).double().requires_grad_(False)
    layers = read_layers(net, (1, 28, 28))
    threat = Threat(norm="l2", eps=0.3)
    x = torch.rand(256, 1, 28, 28).double()
    y = net(x).argmax(1)

    def certify(_net: nn.Sequential, x: Tensor, y: Tensor) -> None:
        search(layers, to_vectors(layers, x), y, threat=threat, neighbours=neighbours)

    certify(net, x, y)
    times = [milliseconds(certify, net, x, y) for _ in range(5)]
    span = f"{min(times):.2f} to {max(times):.2f} ms per input"
    print(f"\nregion fc1 l2, {neighbours} neighbours: {span}")
    assert min(times) <= REGION_LIMITS[neighbours]
    benchmark.pedantic(certify, (net, x, y), rounds=3)
