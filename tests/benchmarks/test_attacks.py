"""APGD and the ensemble beside foolbox's attacks, at an equal number of passes through the network.

A forward and a backward pass count as two, a forward pass alone as one.
"""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.data.datasets import DataSet
from bench.parsing import NORMS
from evaluators.ensemble import Ensemble
from relu.attacks import apgd
from relu.attacks.witness import adversarial
from relu.network.reader import in_float64
from relu.threat import Norm, Threat
from tests.evaluators.test_contract import unknown

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of scipy, by foolbox's imports
    import foolbox
    from foolbox.attacks.sparse_l1_descent_attack import SparseL1DescentAttack
    from foolbox.models.pytorch import PyTorchModel

EPS: dict[Norm, float] = {"linf": 0.08, "l2": 0.4, "l1": 1.5}
STEPS = 50
INPUTS = 200
ATTACKS: dict[Norm, list[Callable[..., Any]]] = {
    "linf": [foolbox.attacks.LinfPGD],
    "l2": [foolbox.attacks.L2PGD],
    "l1": [foolbox.attacks.L1PGD, SparseL1DescentAttack],
}


class Counting(nn.Module):
    """A network that counts the passes per input: the gradient's and its own."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += len(x) * (2 if x.requires_grad else 1)
        return torch.as_tensor(self.net(x))


def theirs(
    make: Callable[..., Any], net: nn.Module, x: Tensor, y: Tensor, threat: Threat, steps: int
) -> Tensor:
    """Whom one of foolbox's attacks fools within the threat, as the bench would count it."""
    model = PyTorchModel(net, bounds=threat.box, device="cpu")
    _, z, _ = make(steps=steps)(model, x, y, epsilons=threat.eps)
    good = adversarial(in_float64(net), z, y) & threat.in_box(z)
    return good & (threat.distance(x, z) <= threat.eps * (1 + 1e-5))


@pytest.fixture
def problem(digits: DataSet, digits_net: nn.Sequential) -> tuple[nn.Sequential, Tensor, Tensor]:
    """Test images and the network's own labels."""
    x = digits.x_test[:INPUTS]
    return digits_net, x, digits_net(x).argmax(1)


@pytest.mark.parametrize("norm", NORMS)
def test_apgd_fools_at_least_as_many_as_foolbox_at_equal_steps(
    norm: Norm, problem: tuple[nn.Sequential, Tensor, Tensor]
) -> None:
    net, x, y = problem
    threat = Threat(norm=norm, eps=EPS[norm])
    _, ours = apgd.ascend(net, x, y, threat=threat, steps=STEPS, loss="margin")
    for make in ATTACKS[norm]:
        found = theirs(make, net, x, y, threat, STEPS)
        print(f"\n{norm} {make.__name__}: {int(found.sum())} of {len(x)}, APGD {int(ours.sum())}")
        assert 0 < found.sum() < len(x)
        assert ours.sum() >= found.sum()


@pytest.mark.parametrize("norm", NORMS)
def test_the_ensemble_fools_at_least_as_many_as_foolbox_at_equal_passes(
    norm: Norm, problem: tuple[nn.Sequential, Tensor, Tensor]
) -> None:
    net, x, y = problem
    threat = Threat(norm=norm, eps=EPS[norm])
    counting = Counting(net)
    ensemble = Ensemble(rounds=0, targets=3, square_steps=100, growth=1.0)
    evidence = ensemble.judge(counting, x, y, threat=threat, known=unknown(net, x, y))
    ours = threat.distance(x, evidence.witness) <= threat.eps
    for make in ATTACKS[norm]:
        found = torch.zeros_like(ours)
        for _ in range(4):  # restarts
            found |= theirs(make, net, x, y, threat, counting.passes // (4 * 2 * len(x)))
        print(f"\n{norm} {make.__name__}: {int(found.sum())}, the ensemble {int(ours.sum())}")
        assert 0 < ours.sum() < len(x)
        assert ours.sum() >= found.sum()
