"""Losses on attacked inputs: their formulas in numpy, and what their attacks look for."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods._divergence import divergence
from methods.arow import Arow
from methods.at import At
from methods.edac import Edac
from methods.mart import Mart
from methods.n_fgsm import NFgsm
from methods.plain import Plain
from methods.trades import Trades
from relu.attacks.pgd import ascend
from relu.network.architectures import build
from relu.threat import Norm, Threat

EPS: dict[Norm, float] = {"linf": 0.1, "l2": 0.4, "l1": 1.5}
LINF = Threat(norm="linf", eps=0.1)


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    net = build("fc_small", (1, 4, 4), 5).double()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3)  # so that attacks matter
    return net


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.rand(6, 1, 4, 4, dtype=torch.float64), torch.arange(6) % 5


def probabilities(logits: Tensor) -> np.ndarray:
    values = logits.detach().numpy()
    powers = np.exp(values - values.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    total: np.ndarray = (p * (np.log(p) - np.log(q))).sum(1)
    return total


def attacked_for_divergence(net: nn.Module, x: Tensor, y: Tensor, steps: int) -> Tensor:
    said = net(x).detach()
    torch.manual_seed(3)
    z, _ = ascend(
        net, x, y, threat=LINF, steps=steps, loss=lambda logits: divergence(said, logits).sum()
    )
    return z


def test_trades_is_its_formula(net: nn.Sequential, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    p = probabilities(net(x))
    q = probabilities(net(attacked_for_divergence(net, x, y, 5)))
    expected = -np.log(p[range(6), y]).mean() + 2.0 * kl(p, q).mean()
    torch.manual_seed(3)
    found = Trades(weight=2.0, steps=5).loss(net, x, y, threat=LINF, progress=0.5)
    assert found.item() == pytest.approx(expected)
    still = Trades(weight=0.0, steps=1).loss(net, x, y, threat=LINF, progress=0.5)
    assert still.item() == pytest.approx(F.cross_entropy(net(x), y).item())


def test_an_attack_on_the_divergence_makes_it_larger_than_chance_does(
    net: nn.Sequential, batch: tuple[Tensor, Tensor]
) -> None:
    x, y = batch
    said = net(x).detach()
    chance = divergence(said, net(x + 0.1 * torch.randn_like(x).sign()))
    sought = divergence(said, net(attacked_for_divergence(net, x, y, 10)))
    assert (sought > 2 * chance).all()


def test_arow_is_its_formula(net: nn.Sequential, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    p = probabilities(net(x))
    q = probabilities(net(attacked_for_divergence(net, x, y, 5)))
    labels = np.full((6, 5), 0.2 / 5)
    labels[range(6), y] += 0.8
    smoothed = -(labels * np.log(p)).sum(1).mean()
    expected = smoothed + 7.0 * (kl(p, q) * (1 - q[range(6), y])).mean()
    torch.manual_seed(3)
    found = Arow(steps=5).loss(net, x, y, threat=LINF, progress=0.5)
    assert found.item() == pytest.approx(expected)


def test_mart_is_its_formula(net: nn.Sequential, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    torch.manual_seed(3)
    z, _ = ascend(net, x, y, threat=LINF, steps=5)
    p = probabilities(net(x))
    q = probabilities(net(z))
    rival = np.array([np.delete(row, s).max() for row, s in zip(q, y.tolist(), strict=True)])
    boosted = -np.log(q[range(6), y]) - np.log(1.0001 - rival)
    expected = boosted.mean() + 5.0 * (kl(p, q) * (1 - p[range(6), y])).mean()
    torch.manual_seed(3)
    found = Mart(steps=5).loss(net, x, y, threat=LINF, progress=0.5)
    assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize("norm", EPS)
def test_n_fgsm_steps_once_from_noise_and_is_not_projected(
    net: nn.Sequential, batch: tuple[Tensor, Tensor], norm: Norm
) -> None:
    x, y = batch
    seen = []
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    threat = Threat(norm=norm, eps=EPS[norm])
    NFgsm(noise=2.0, step=1.0).loss(net, x, y, threat=threat, progress=0.5)
    start, end = seen
    assert (threat.length(start - x) <= 2 * EPS[norm] * (1 + 1e-9)).all()
    assert torch.allclose(threat.length(end - start), torch.tensor(EPS[norm]).double())
    if norm == "linf":
        assert (threat.length(end - x) > 1.5 * EPS[norm]).any()
        assert (end < 0).any() and (end > 1).any()


def test_edac_takes_the_gradient_at_weights_that_are_less_certain(
    net: nn.Sequential, batch: tuple[Tensor, Tensor]
) -> None:
    x, y = batch
    torch.manual_seed(3)
    at = At(steps=4, share=1.0).loss(net, x, y, threat=LINF, progress=0.5)
    torch.manual_seed(3)
    z, _ = ascend(net, x, y, threat=LINF, steps=4)
    certainty = net(z).std(1).mean()
    slopes = torch.autograd.grad(certainty, list(net.parameters()))
    moved = copy.deepcopy(net)
    with torch.no_grad():
        for weight, own, slope in zip(moved.parameters(), net.parameters(), slopes, strict=True):
            weight.copy_(own - 0.1 * slope)
    assert moved(z).std(1).mean() < certainty
    z, _ = ascend(moved, x, y, threat=LINF, steps=4)
    loss = F.cross_entropy(moved(z), y)
    expected = torch.autograd.grad(loss, list(moved.parameters()))
    torch.manual_seed(3)
    found = Edac(step=0.1, steps=4).loss(net, x, y, threat=LINF, progress=0.5)
    gradients = torch.autograd.grad(found, list(net.parameters()))
    assert found.item() == pytest.approx(loss.item())
    assert found.item() != pytest.approx(at.item())
    for theirs, ours in zip(expected, gradients, strict=True):
        assert torch.allclose(theirs, ours)


def test_plain_training_is_none_of_these(net: nn.Sequential, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    clean = Plain().loss(net, x, y, threat=LINF, progress=0.5)
    for method in (Trades(), Mart(), Arow(), NFgsm()):
        assert method.loss(net, x, y, threat=LINF, progress=0.5) > clean
