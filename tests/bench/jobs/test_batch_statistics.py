"""Batch norm in training: torch's own statistics and gradients, and one network in each step."""

import copy
import dataclasses
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.datasets import DataSet
from bench.jobs.batch_statistics import BatchStatistics
from bench.jobs.training import Watcher, _Step, train
from bench.plugins.training import Training
from methods.at import At
from methods.cross_lipschitz import CrossLipschitz
from methods.interface import Method
from methods.kw import Kw
from methods.mmr import Mmr
from methods.mmr_at import MmrAt
from methods.plain import Plain
from relu.errors import InputError
from relu.network.architectures import build
from relu.network.batch_norm import FixedBatchNorm
from relu.network.reader import read_layers
from relu.threat import Threat

THREAT = Threat(norm="linf", eps=0.03)
METHODS: list[Method] = [Plain(), At(steps=3), Kw(), Mmr(), MmrAt(at=At(steps=3)), CrossLipschitz()]


def norms(net: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    return [m for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]


def drawn(seed: int = 0) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A network with norms that do something, before a padded convolution too, and a batch."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Conv2d(3, 4, 4, stride=2, padding=1),
        nn.BatchNorm2d(4, eps=1e-3, momentum=0.3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Linear(8, 3),
    ).double()
    for norm in norms(net):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
    return net, torch.rand(9, 1, 6, 6).double(), torch.randint(3, (9,))


def gradients(net: nn.Module) -> list[Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in net.parameters()]


def step(net: nn.Module, method: Method, x: Tensor, y: Tensor) -> float:
    """Gradients of a step; the loss, in the network's precision."""
    statistics = BatchStatistics(net)
    statistics.measure(x)
    statistics.zero_grad()
    loss = method.loss(statistics.net, x, y, threat=THREAT, progress=0.7)
    loss.backward()
    statistics.backward()
    return loss.item()


def folded(net: nn.Sequential, x: Tensor) -> nn.Sequential:
    """The network without batch norm that has the statistics of the batch, by plain arithmetic."""
    layers: list[nn.Module] = []
    with torch.no_grad():
        for module in copy.deepcopy(net).train():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                before = layers[-1]
                assert isinstance(before, nn.Linear | nn.Conv2d)
                dims = [i for i in range(x.ndim) if i != 1]
                mean = x.mean(dims)
                var = (x * x).mean(dims) - mean * mean
                factor = module.weight / (var + module.eps).sqrt()
                rows = factor.view(-1, *[1] * (before.weight.ndim - 1))
                before.weight.copy_(before.weight * rows)
                assert before.bias is not None
                before.bias.copy_((before.bias - mean) * factor + module.bias)
            else:
                layers.append(module)
            x = module(x)
    return nn.Sequential(*layers)


def test_a_step_sees_the_statistics_of_torchs_own_pass() -> None:
    net, x, _ = drawn()
    own = copy.deepcopy(net)
    statistics = BatchStatistics(net)
    statistics.measure(x)
    assert torch.allclose(statistics.net(x), own(x), rtol=1e-12, atol=1e-12)
    one = statistics.net(x[:1])  # whoever else is in the batch
    assert torch.allclose(one, own(x)[:1], rtol=1e-12, atol=1e-12)


def test_running_statistics_are_torchs() -> None:
    net, x, _ = drawn()
    own = copy.deepcopy(net)
    statistics = BatchStatistics(net)
    for part in (x, x[:2], x[3:], 2 * x):
        statistics.measure(part)
        own(part)
    for name, value in own.state_dict().items():
        assert torch.equal(value, net.state_dict()[name]), name
    before = {name: value.clone() for name, value in net.state_dict().items()}
    statistics.net(x + 1)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("parts", [1, 3])
def test_gradients_of_the_cross_entropy_are_those_of_ordinary_batch_norm(parts: int) -> None:
    net, x, y = drawn()
    own = copy.deepcopy(net)
    F.cross_entropy(own(x), y).backward()
    split = _Step(net, Plain(), THREAT, Training(), Watcher())
    split.parts = parts
    split.gradient(x, y, 0.7)
    for ours, theirs in zip(gradients(net), gradients(own), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.label)
def test_losses_are_those_of_the_network_with_the_batchs_statistics_folded(method: Method) -> None:
    net, x, y = drawn()
    plain = folded(net, x)
    torch.manual_seed(1)
    loss = step(net, method, x, y)
    torch.manual_seed(1)
    expected = method.loss(plain, x, y, threat=THREAT, progress=0.7).item()
    assert loss == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("method", [Plain(), Kw(), Mmr()], ids=lambda method: method.label)
def test_gradients_are_the_slopes_of_the_loss_as_statistics_follow(method: Method) -> None:
    net, x, y = drawn()
    step(net, method, x, y)
    found = gradients(net)
    direction = [torch.randn_like(p) for p in net.parameters()]
    tiny = 1e-6
    ends = []
    for sign in (1, -1):
        moved = copy.deepcopy(net)
        with torch.no_grad():
            for p, d in zip(moved.parameters(), direction, strict=True):
                p.add_(d, alpha=sign * tiny)
        ends.append(step(moved, method, x, y))
    slope = sum((g * d).sum().item() for g, d in zip(found, direction, strict=True))
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * tiny), rel=1e-5)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.label)
def test_a_batch_of_one_image_takes_the_running_statistics(method: Method) -> None:
    net, x, y = drawn()
    BatchStatistics(net).measure(x)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(1)
    loss = step(net, method, x[:1], y[:1])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(g.isfinite().all() for g in gradients(net))
    torch.manual_seed(1)
    expected = method.loss(net.eval(), x[:1], y[:1], threat=THREAT, progress=0.7).item()
    assert loss == pytest.approx(expected, rel=1e-9)


def test_a_network_without_batch_norm_is_the_one_that_is_trained() -> None:
    net = build("cnn_small", (1, 8, 8), 10)
    statistics = BatchStatistics(net)
    assert statistics.net is net
    statistics.measure(torch.rand(2, 1, 5, 5))  # nothing passes, or this shape would be refused
    statistics.backward()


def test_a_norm_that_is_used_twice_is_refused() -> None:
    norm = nn.BatchNorm1d(3)
    net = nn.Sequential(nn.Linear(3, 3), norm, nn.ReLU(), nn.Linear(3, 3), norm)
    with pytest.raises(InputError, match="used twice"):
        BatchStatistics(net).measure(torch.rand(4, 3))
    assert not norm._forward_pre_hooks


def test_norms_that_take_no_part_or_keep_no_statistics_are_left_alone() -> None:
    class Partly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used = nn.BatchNorm1d(3)
            self.unused = nn.BatchNorm1d(3)
            self.forgetful = nn.BatchNorm1d(3, track_running_stats=False)

        def forward(self, x: Tensor) -> Tensor:
            z: Tensor = self.forgetful(self.used(x))
            return z

    net = Partly()
    statistics = BatchStatistics(net)
    statistics.measure(torch.rand(4, 3))
    F.cross_entropy(statistics.net(torch.rand(4, 3)), torch.arange(4) % 3).backward()
    statistics.backward()
    assert net.used.weight.grad is not None
    assert torch.equal(net.state_dict()["unused.running_mean"], torch.zeros(3))


def test_the_layers_of_a_step_lead_to_its_statistics() -> None:
    net, x, _ = drawn()
    statistics = BatchStatistics(net)
    statistics.measure(x)
    layers = read_layers(statistics.net, (1, 6, 6))
    assert [layer.size for layer in layers] == [108, 36, 8, 3]
    for layer, size in zip(layers[:-1], (36, 108, 36), strict=True):
        layer.forward(torch.ones(1, size).double()).sum().backward()
    fixed = [module for module in statistics.net.modules() if isinstance(module, FixedBatchNorm)]
    assert len(fixed) == 3
    for module in fixed:
        for leaf in (module.running_mean, module.running_var):
            assert leaf.grad is not None and leaf.grad.all()


def small(data: DataSet, count: int) -> DataSet:
    return dataclasses.replace(data, x_train=data.x_train[:count], y_train=data.y_train[:count])


def tiny_cnn(data: DataSet) -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(1, 4, 4, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Linear(16, data.classes),
    )


def trained(data: DataSet, method: Method, watcher: Watcher | None = None) -> nn.Sequential:
    net = tiny_cnn(data)
    train(
        net,
        method,
        data,
        threat=THREAT,
        training=Training(epochs=3, batch=64),
        seed=0,
        augmented=False,
        watcher=watcher,
    )
    return net


class _Stop(Exception):
    pass


class _Kept(Watcher):
    """Keeps the state behind the second epoch, as a file would, and stops there."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self.state = state
        self.going_on = state is not None

    def resume(self) -> dict[str, Any] | None:
        return self.state

    def epoch(self, row: dict[str, Any], state: dict[str, Any]) -> None:
        if not self.going_on and row["epoch"] == 2:
            self.state = copy.deepcopy(state)
            raise _Stop


@pytest.mark.parametrize("method", [Plain(), Kw(), Mmr()], ids=lambda method: method.label)
def test_a_resumed_training_has_the_weights_and_statistics_of_an_undisturbed_one(
    digits: DataSet, method: Method
) -> None:
    data = small(digits, 193)  # the last batch of each epoch is one image
    whole = trained(data, method).state_dict()
    kept = _Kept()
    with pytest.raises(_Stop):
        trained(data, method, kept)
    resumed = trained(data, method, _Kept(kept.state)).state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert all(value.isfinite().all() for value in whole.values())
    assert int(whole["1.num_batches_tracked"]) == 9


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Large:
    """Runs out of memory with more than `fits` images, and says of how many."""

    label: ClassVar[str] = "large"

    fits: int

    def loss(
        self, net: nn.Module, x: Tensor, y: Tensor, *, threat: Threat, progress: float
    ) -> Tensor:
        loss = F.cross_entropy(net(x), y)
        if len(x) > self.fits:
            raise torch.OutOfMemoryError(f"{len(x)} images do not fit")
        return loss


def test_a_batch_that_is_split_has_the_statistics_of_the_whole() -> None:
    states = []
    for fits in (9, 2):
        net, x, y = drawn()
        loss = _Step(net, _Large(fits=fits), THREAT, Training(), Watcher()).gradient(x, y, 0.5)
        states.append([loss, *gradients(net), *net.state_dict().values()])
    for whole, split in zip(*states, strict=True):
        assert torch.allclose(whole, split, rtol=1e-10, atol=1e-10)
    assert int(norms(net)[0].state_dict()["num_batches_tracked"]) == 1


def test_epochs_lower_the_loss_and_the_running_statistics_serve(digits: DataSet) -> None:
    net = tiny_cnn(digits)
    history = train(
        net,
        Plain(),
        digits,
        threat=THREAT,
        training=Training(epochs=12, lr=1e-2),
        seed=0,
        augmented=False,
    )
    assert history[-1]["loss"] < history[0]["loss"] / 3
    with torch.no_grad():
        error = (net.eval()(digits.x_test).argmax(1) != digits.y_test).float().mean()
    assert error < 0.12
