"""Dual bounds beside convex_adversarial and auto_LiRPA: the same margins, how many times faster."""

import copy
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import convex_adversarial.dual_network as peer
import pytest
import torch
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.data.datasets import load
from bench.jobs.surroundings import keep_freed_memory
from evaluators._auto_lirpa import auto_lirpa
from methods.kw import Kw
from relu.bounds.ball import ball_of
from relu.bounds.linear import margin_lower_bounds, relax
from relu.bounds.relaxation import Relaxation
from relu.classes import others
from relu.network.architectures import build
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.threat import Threat

SHARED = Path(os.environ.get("BENCH_SHARED", ""))
SHAPE = (1, 28, 28)
LINF = Threat(norm="linf", eps=0.1)
# inputs of a batch
OURS = 100
THEIRS = 20
ROUNDS = 5
# Our lines, the other library, and how many times faster we must be at least, per network: where
# nearly all units may switch, all bounds must be computed in full, as theirs always are.
PAIRS: list[tuple[Relaxation, str, dict[str, float]]] = [
    ("kw", "convex_adversarial", {"published": 8.0, "fresh": 8.0}),
    ("kw", "auto_LiRPA", {"published": 8.0, "fresh": 4.0}),
    ("crown", "auto_LiRPA", {"published": 4.0, "fresh": 1.2}),
]
Problem = tuple[nn.Sequential, Tensor, Tensor]


def published() -> Problem:
    """The KW authors' network on MNIST, where few units may switch."""
    checkpoint = SHARED / "models" / "kw_mnist_linf_0.1.safetensors"
    if not checkpoint.is_file():
        pytest.skip("BENCH_SHARED does not name a folder with real data")
    net = build("cnn", SHAPE, 10)
    mnist = load("mnist", SHARED / "data")
    net.load_state_dict(load_file(checkpoint))
    return net, mnist.x_test[:OURS], mnist.y_test[:OURS]


def fresh() -> Problem:
    """An untrained network on digits, enlarged to MNIST's shape, where nearly all units may."""
    digits = load("digits")
    x = F.interpolate(digits.x_test[:OURS], size=28, mode="bilinear")
    return build("cnn", SHAPE, 10), x, digits.y_test[:OURS]


NETWORKS = {"published": published, "fresh": fresh}


def problem(name: str) -> Problem:
    keep_freed_memory()  # as the bench's workers do
    torch.manual_seed(0)
    net, x, y = NETWORKS[name]()
    return net.requires_grad_(False).eval(), x, y


def ours(net: nn.Sequential, x: Tensor, y: Tensor, relaxation: Relaxation = "kw") -> Tensor:
    layers = read_layers(net, SHAPE)
    ball = ball_of(to_vectors(layers, x), LINF, box=False)
    return margin_lower_bounds(relax(layers, ball, relaxation), y)


def convex_adversarial(net: nn.Sequential, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        worst = peer.RobustBounds(net, LINF.eps)(x, y)
    return -worst.gather(1, others(y, 10))


def lirpa(net: nn.Sequential, x: Tensor, y: Tensor) -> Tensor:
    library = auto_lirpa()
    rows = torch.eye(10)[y].unsqueeze(1) - torch.eye(10)[others(y, 10)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = copy.deepcopy(net)  # whose parameters it asks gradients of
        bounded = library.BoundedModule(own, x[:1], device="cpu")
        ball = library.perturbations.PerturbationLpNorm(norm=float("inf"), eps=LINF.eps)
        inputs = library.BoundedTensor(x, ball)
        found, _ = bounded.compute_bounds(x=(inputs,), C=rows, method="CROWN", bound_upper=False)
    return found.detach()


PEERS = {"convex_adversarial": convex_adversarial, "auto_LiRPA": lirpa}


def milliseconds(work: Callable[[Tensor, Tensor], object], x: Tensor, y: Tensor) -> float:
    started = time.perf_counter()
    work(x, y)
    return 1e3 * (time.perf_counter() - started) / len(x)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("relaxation", "other", "least"), PAIRS)
def test_margins_are_theirs_and_many_times_faster(
    name: str, relaxation: Relaxation, other: str, least: dict[str, float]
) -> None:
    net, x, y = problem(name)
    few = (x[:THEIRS], y[:THEIRS])
    found = ours(net, *few, relaxation)
    expected = PEERS[other](net, *few)
    if (relaxation == "kw") == (other == "convex_adversarial"):
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)
        assert torch.equal(found.amin(1) > 0, expected.amin(1) > 0)
    fast = []
    slow = []
    for _ in range(ROUNDS):
        fast.append(milliseconds(lambda x, y: ours(net, x, y, relaxation), x, y))
        slow.append(milliseconds(lambda x, y: PEERS[other](net, x, y), *few))
    ratio = statistics.median(slow) / statistics.median(fast)
    print(
        f"\n{relaxation} on the {name} cnn: {statistics.median(fast):.2f} ms per input, "
        f"{other} {statistics.median(slow):.1f} ms, {ratio:.1f} times slower"
    )
    assert ratio >= least[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_kw_at_one_eps(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark.pedantic(ours, problem(name), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_step_beside_convex_adversarial(name: str) -> None:
    net, x, y = problem(name)
    net.requires_grad_(True)

    def step(x: Tensor, y: Tensor) -> None:
        net.zero_grad()
        Kw().loss(net, x, y, threat=LINF, progress=0.9).backward()

    def their_step(x: Tensor, y: Tensor) -> None:
        net.zero_grad()
        peer.robust_loss(net, LINF.eps, x, y)[0].backward()

    step(x, y)
    fast = []
    slow = []
    for _ in range(3):
        fast.append(milliseconds(step, x, y))
        slow.append(milliseconds(their_step, x[:THEIRS], y[:THEIRS]))
    mine = statistics.median(fast)
    theirs = statistics.median(slow)
    print(f"\nkw step on the {name} cnn: {mine:.1f} ms per input, convex_adversarial {theirs:.0f}")
    ratio = theirs / mine
    assert ratio >= 3
