"""CW beside foolbox's L2CarliniWagnerAttack at equal steps: nearer witnesses, in less time.

The searches alone find points equally near; the bisection that follows ours, a part of the
evaluator and of its time, brings them nearer.
"""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from bench.data.datasets import DataSet, load
from bench.jobs.surroundings import keep_freed_memory
from bench.jobs.training import train
from bench.plugins.training import Training
from methods.plain import Plain
from relu.attacks.carlini_wagner import nearest_adversarial
from relu.attacks.witness import adversarial, closer, outward
from relu.network.architectures import build
from relu.network.reader import in_float64
from relu.threat import Threat

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of scipy, by foolbox's imports
    from foolbox.attacks.carlini_wagner import L2CarliniWagnerAttack
    from foolbox.models.pytorch import PyTorchModel

SHARED = Path(os.environ.get("BENCH_SHARED", ""))
L2 = Threat(norm="l2", eps=0.3)
SEARCHES = 9
STEPS = 200
LR = 0.01
CONSTANT = 1e-3
HALVINGS = 20  # of the evaluator, after its search
ROUNDS = 2
Problem = tuple[nn.Sequential, Tensor, Tensor]


def on_digits() -> Problem:
    return trained(load("digits"), "fc_small", epochs=20, points=200)


def on_mnist() -> Problem:
    if not (SHARED / "data" / "MNIST").is_dir():
        pytest.skip("BENCH_SHARED does not name a folder with real data")
    mnist = load("mnist", SHARED / "data")
    few = DataSet(
        name=mnist.name,
        classes=mnist.classes,
        x_train=mnist.x_train[:10_000],
        y_train=mnist.y_train[:10_000],
        x_test=mnist.x_test,
        y_test=mnist.y_test,
    )
    return trained(few, "fc1", epochs=1, points=50)


def trained(data: DataSet, arch: str, *, epochs: int, points: int) -> Problem:
    """A plainly trained network, and the first test inputs that it classifies correctly."""
    net = build(arch, data.shape, data.classes)
    train(net, Plain(), data, threat=L2, training=Training(epochs=epochs), seed=0, augmented=False)
    net.requires_grad_(False).eval()
    x = data.x_test[:points]
    y = data.y_test[:points]
    right = ~adversarial(in_float64(net), x, y)
    return net, x[right], y[right]


PROBLEMS: dict[str, Callable[[], Problem]] = {"digits": on_digits, "mnist": on_mnist}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Both sides compute in this one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_memory()  # as the bench's workers do
    yield
    torch.set_num_threads(before)


def ours(net: nn.Sequential, x: Tensor, y: Tensor) -> Tensor:
    """The radii of the witnesses, inf where there is none; as evaluators/cw.py makes them."""
    exact_net = in_float64(net)
    exact = x.double()
    z, found = nearest_adversarial(
        net, x, y, box=L2.box, steps=STEPS, binary_search_steps=SEARCHES, lr=LR, constant=CONSTANT
    )
    z = outward(exact_net, exact, y, z.double(), L2.box)
    witness = closer(exact_net, exact, y, z, steps=HALVINGS)
    return radii(exact_net, x, y, torch.where(found.view(-1, *[1] * (x.ndim - 1)), witness, exact))


def theirs(net: nn.Sequential, x: Tensor, y: Tensor) -> Tensor:
    model = PyTorchModel(net, bounds=(0, 1), device="cpu")
    attack = L2CarliniWagnerAttack(
        binary_search_steps=SEARCHES, steps=STEPS, stepsize=LR, initial_const=CONSTANT
    )
    _, z, _ = attack(model, x, y, epsilons=None)
    return radii(in_float64(net), x, y, z)


def radii(exact_net: nn.Module, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    good = adversarial(exact_net, z, y) & L2.in_box(z)
    return torch.where(good, L2.distance(x, z), torch.inf)


@pytest.mark.parametrize("name", PROBLEMS)
def test_witnesses_are_nearer_than_foolboxs_in_less_time(name: str) -> None:
    net, x, y = PROBLEMS[name]()
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    high: dict[str, Tensor] = {}
    for _ in range(ROUNDS):  # in turn, so that the machine's drift meets both
        for side, attack in (("ours", ours), ("theirs", theirs)):
            started = time.perf_counter()
            high[side] = attack(net, x, y)
            seconds[side].append(time.perf_counter() - started)
    both = high["ours"].isfinite() & high["theirs"].isfinite()
    mean = {side: float(some[both].mean()) for side, some in high.items()}
    cost = {side: min(some) for side, some in seconds.items()}
    for side in mean:
        missed = int((~high[side].isfinite()).sum())
        print(
            f"\n{name}, {len(x)} inputs, one thread, {side}: mean radius {mean[side]:.5f}, "
            f"{cost[side]:.2f} s, {missed} without a witness",
            end="",
        )
    print(f"\nfoolbox's takes {cost['theirs'] / cost['ours']:.2f} times as long")
    assert both.sum() > 0.95 * len(x)
    assert mean["ours"] <= mean["theirs"]
    assert cost["ours"] < cost["theirs"]


def test_cw(benchmark: BenchmarkFixture) -> None:
    benchmark.pedantic(ours, on_digits(), rounds=2, warmup_rounds=0)
