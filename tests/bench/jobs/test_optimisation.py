"""The training loop's settings: schedules, clipping, l1, averages of weights, held-out choice."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from bench.data.datasets import DataSet
from bench.data.holdout import hold_out
from bench.jobs import watched
from bench.jobs.optimisation import Average, Optimisation, rate_factor
from bench.jobs.training import Watcher, train
from bench.jobs.watched import attacked_errors, uncertified_error
from bench.plugins.training import Training
from methods.plain import Plain
from relu.bounds.ball import ball_of
from relu.bounds.intervals import intervals
from relu.bounds.linear import margin_lower_bounds, relax
from relu.errors import InputError
from relu.network.architectures import build
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.threat import Threat

THREAT = Threat(norm="linf", eps=0.02)


def test_schedules_begin_and_end_where_they_say() -> None:
    steps = Training(schedule="steps", milestones=(0.5, 0.75), decay=0.2)
    assert [rate_factor(steps, p) for p in (0.0, 0.49, 0.5, 0.74, 0.75, 0.99)] == pytest.approx(
        [1, 1, 0.2, 0.2, 0.04, 0.04]
    )
    cosine = Training(schedule="cosine")
    assert [rate_factor(cosine, p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1, 0.5, 0])
    cycle = Training(schedule="one_cycle")
    assert [rate_factor(cycle, p) for p in (0.0, 0.3, 0.65, 1.0)] == pytest.approx(
        [0.04, 1, 0.5, 0]
    )
    assert rate_factor(Training(schedule="constant"), 0.99) == 1


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "radam", "sgd"])
def test_each_optimiser_is_torchs(optimizer: Any) -> None:
    torch.manual_seed(0)
    nets = [build("fc_small", (1, 4, 4), 3, seed=1) for _ in range(2)]
    x = torch.rand(8, 1, 4, 4)
    ours = Optimisation(nets[0], Training(optimizer=optimizer, lr=0.01, weight_decay=0.1))
    kinds: Any = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "radam": torch.optim.RAdam,
        "sgd": torch.optim.SGD,
    }
    more = {"momentum": 0.9} if optimizer == "sgd" else {}
    theirs = kinds[optimizer](nets[1].parameters(), lr=0.01, weight_decay=0.1, **more)
    for _ in range(3):
        for net in nets:
            net.zero_grad()
            net(x).square().sum().backward()
        ours.step(0.0)
        theirs.step()
    pairs = zip(nets[0].parameters(), nets[1].parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


def test_l1_is_the_gradient_of_the_sum_of_absolute_weights_and_clipping_comes_last() -> None:
    net = nn.Linear(3, 2)
    before = [p.detach().clone() for p in net.parameters()]
    training = Training(optimizer="sgd", momentum=0.0, lr=1.0, l1=0.5, schedule="constant")
    net(torch.zeros(1, 3)).sum().backward()
    Optimisation(net, training).step(0.0)
    assert torch.allclose(net.weight, before[0] - 0.5 * before[0].sign())
    assert torch.allclose(net.bias, before[1] - 1)
    net.load_state_dict({"weight": before[0], "bias": before[1]})
    net.zero_grad()
    net(torch.zeros(1, 3)).sum().backward()
    Optimisation(net, replace(training, clip=0.1)).step(0.0)
    moved = [p.detach() - b for p, b in zip(net.parameters(), before, strict=True)]
    assert torch.cat([m.flatten() for m in moved]).norm().item() == pytest.approx(0.1, rel=1e-4)


def test_averages_are_means_with_statistics_of_their_own() -> None:
    nets = [build("cnn3", (1, 8, 8), 4, seed=seed) for seed in range(3)]
    average = Average(nets[0])
    for net in nets:
        average.add(net)
    for mean, *weights in zip(
        average.net.parameters(), *(n.parameters() for n in nets), strict=True
    ):
        assert torch.allclose(mean, torch.stack(weights).mean(0), atol=1e-6)
    x = torch.rand(40, 1, 8, 8)
    average.measure(x, 20)
    assert isinstance(average.net, nn.Sequential)
    first = average.net[0](x)
    statistics = average.net[1]
    assert isinstance(statistics, nn.BatchNorm2d) and statistics.running_mean is not None
    assert torch.allclose(statistics.running_mean, first.mean((0, 2, 3)), atol=1e-5)
    assert not average.net.training
    assert statistics.momentum == 0.1


@pytest.mark.parametrize(("count", "batch"), [(1, 20), (6, 1)])
def test_statistics_of_averages_are_never_those_of_nothing(count: int, batch: int) -> None:
    net = build("cnn3", (1, 8, 8), 4)
    net.train()(torch.rand(20, 1, 8, 8))
    average = Average(build("cnn3", (1, 8, 8), 4))
    average.add(net)
    average.measure(torch.rand(count, 1, 8, 8), batch)
    assert isinstance(average.net, nn.Sequential) and isinstance(average.net[1], nn.BatchNorm2d)
    assert average.net[1].running_mean is not None
    assert average.net[1].running_mean.abs().max() > 1e-3


def test_averaged_weights_are_those_of_the_last_epochs(digits: DataSet) -> None:
    kept: list[dict[str, Tensor]] = []

    class Keep(Watcher):
        def epoch(self, row: dict[str, Any], state: dict[str, Any]) -> None:
            kept.append({name: tensor.clone() for name, tensor in state["net"].items()})

    net = build("fc_small", digits.shape, digits.classes)
    training = Training(epochs=4, averaging=0.5)
    train(
        net,
        Plain(),
        digits,
        threat=THREAT,
        training=training,
        seed=0,
        augmented=False,
        watcher=Keep(),
    )
    for name, tensor in net.state_dict().items():
        assert torch.allclose(tensor, (kept[2][name] + kept[3][name]) / 2, atol=1e-6)


@dataclass(frozen=True, kw_only=True)
class _Spoils:
    """Plain training that unlearns everything in its second half."""

    label: ClassVar[str] = "spoils"

    def loss(
        self, net: nn.Module, x: Tensor, y: Tensor, *, threat: Threat, progress: float
    ) -> Tensor:
        loss = nn.functional.cross_entropy(net(x), y)
        return loss if progress < 0.5 else -loss.clamp_max(20)


def test_the_weights_that_are_best_on_held_out_images_count(digits: DataSet) -> None:
    net = build("fc_small", digits.shape, digits.classes)
    training = Training(epochs=10, held_out=0.2)
    history = train(
        net, _Spoils(), digits, threat=THREAT, training=training, seed=0, augmented=False
    )
    orders = [
        (row["held_out_uncertified"], row["held_out_pgd"], row["held_out_clean"]) for row in history
    ]
    assert orders[-1] > min(orders)
    held = hold_out(digits, 0.2)
    clean, attacked = attacked_errors(net, held.x_test, held.y_test, THREAT, 0)
    uncertified = uncertified_error(net, held.x_test, held.y_test, THREAT)
    assert (max(uncertified, attacked), attacked, clean) == min(orders)


class _Stop(Exception):
    pass


class _Kept(Watcher):
    def __init__(self, state: dict[str, Any] | None, stop: int) -> None:
        self.state = state
        self.stop = stop

    def resume(self) -> dict[str, Any] | None:
        return self.state

    def epoch(self, row: dict[str, Any], state: dict[str, Any]) -> None:
        self.state = state
        if row["epoch"] == self.stop:
            raise _Stop


@pytest.mark.parametrize(("averaging", "held_out"), [(0.25, 0.0), (None, 0.3), (0.25, 0.3)])
def test_resumed_trainings_keep_averages_and_the_best_weights(
    digits: DataSet, averaging: float | None, held_out: float
) -> None:
    training = Training(epochs=4, optimizer="radam", averaging=averaging, held_out=held_out)

    def trained(watcher: Watcher) -> nn.Sequential:
        net = build("cnn3", digits.shape, digits.classes)
        small = replace(digits, x_train=digits.x_train[:300], y_train=digits.y_train[:300])
        train(
            net,
            Plain(),
            small,
            threat=THREAT,
            training=training,
            seed=0,
            augmented=False,
            watcher=watcher,
        )
        return net

    whole = trained(Watcher())
    kept = _Kept(None, 3)
    with pytest.raises(_Stop):
        trained(kept)
    resumed = trained(_Kept(kept.state, 99))
    pairs = zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("milestones", [(0.5, 0.4), (0.0,), (1.0,), (0.5, 0.5)])
def test_milestones_must_rise_within_the_training(milestones: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"train\.milestones must be shares of the training"):
        Training(milestones=milestones)


def test_what_is_followed_is_what_bounds_certify(
    digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = build("fc_small", digits.shape, digits.classes)
    training = Training(epochs=15)
    train(net, Plain(), digits, threat=THREAT, training=training, seed=0, augmented=False)
    x = digits.x_test[:150]
    y = digits.y_test[:150]
    layers = read_layers(net, digits.shape)
    ball = ball_of(to_vectors(layers, x), THREAT)
    shares = []
    for known in (None, intervals(layers, ball).hidden):
        bounds = margin_lower_bounds(relax(layers, ball, "crown", known=known), y).amin(1)
        shares.append(float((bounds <= 0).float().mean()))
    assert shares[0] < shares[1] < 1
    assert uncertified_error(net, x, y, THREAT) == pytest.approx(shares[0])
    monkeypatch.setattr(watched, "MANY", 10)
    assert uncertified_error(net, x, y, THREAT) == pytest.approx(shares[1])
    assert uncertified_error(nn.Sequential(nn.Flatten(), nn.Sigmoid()), x, y, THREAT) == 1
