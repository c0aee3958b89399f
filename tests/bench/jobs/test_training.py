from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from bench.data.datasets import DataSet
from bench.jobs.training import Diverged, Watcher, train
from bench.plugins.training import Training
from methods.at import At
from methods.interface import Method
from methods.plain import Plain
from relu.network.architectures import build
from relu.threat import Threat

THREAT = Threat(norm="linf", eps=0.05)


def trained(
    data: DataSet,
    method: Method,
    *,
    epochs: int = 3,
    seed: int = 0,
    augmented: bool = False,
    watcher: Watcher | None = None,
) -> tuple[nn.Sequential, list[dict[str, Any]]]:
    net = build("cnn_small", data.shape, data.classes, seed=seed)
    history = train(
        net,
        method,
        data,
        threat=THREAT,
        training=Training(epochs=epochs),
        seed=seed,
        augmented=augmented,
        watcher=watcher,
    )
    return net, history


def identical(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("method", [Plain(), At(steps=3)])
def test_two_trainings_of_one_seed_are_bit_identical(digits: DataSet, method: Method) -> None:
    first, history = trained(digits, method, augmented=True)
    torch.rand(17)  # what happened before must not matter
    second, again = trained(digits, method, augmented=True)
    assert identical(first, second)
    for row in history + again:
        row.pop("seconds")
    assert history == again
    assert not identical(first, trained(digits, method, seed=1, augmented=True)[0])


def test_the_history_tells_loss_errors_and_the_last_learning_rate(digits: DataSet) -> None:
    _, history = trained(digits, Plain(), epochs=20)
    assert [row["epoch"] for row in history] == list(range(1, 21))
    assert history[-1]["loss"] < history[0]["loss"] / 3
    assert history[-1]["clean_error"] <= history[-1]["pgd_error"]
    assert [row["lr"] for row in history[-3:]] == pytest.approx([1e-3, 1e-4, 1e-4])


class _Stop(Exception):
    pass


class _Kept(Watcher):
    """Keeps every epoch's state; stops after some."""

    def __init__(self, state: dict[str, Any] | None = None, stop: int = 99) -> None:
        self.state = state
        self.stop = stop

    def resume(self) -> dict[str, Any] | None:
        return self.state

    def epoch(self, row: dict[str, Any], state: dict[str, Any]) -> None:
        self.state = state
        if row["epoch"] == self.stop:
            raise _Stop


def test_a_resumed_training_equals_an_undisturbed_one(digits: DataSet) -> None:
    whole, _ = trained(digits, At(steps=2), epochs=4)
    kept = _Kept(stop=2)
    with pytest.raises(_Stop):
        trained(digits, At(steps=2), epochs=4, watcher=kept)
    resumed, history = trained(digits, At(steps=2), epochs=4, watcher=_Kept(kept.state))
    assert identical(whole, resumed)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]


@dataclass(frozen=True, kw_only=True)
class _Explodes:
    label: ClassVar[str] = "explodes"

    def loss(
        self, net: nn.Module, x: Tensor, y: Tensor, *, threat: Threat, progress: float
    ) -> Tensor:
        loss = nn.functional.cross_entropy(net(x), y)
        return loss * torch.nan if progress > 0.4 else loss


def test_a_diverged_training_names_its_epoch(digits: DataSet) -> None:
    with pytest.raises(Diverged, match="diverged in epoch 3 of 5: the loss is nan"):
        trained(digits, _Explodes(), epochs=5)
