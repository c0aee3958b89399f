"""The region attack: from others' witnesses and alone, beside exact radii and beside CW."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.datasets import DataSet
from bench.jobs.training import train
from bench.jobs.verdict import replay
from bench.parsing import NORMS
from bench.plugins.training import Training
from evaluators.cw import Cw
from evaluators.interface import Evaluator, Interval
from evaluators.region import Region
from evaluators.region_attack import RegionAttack
from methods.mmr import Mmr
from relu.attacks.witness import adversarial, closer
from relu.network.architectures import build
from relu.network.reader import in_float64
from relu.threat import Norm, Threat
from tests.evaluators.test_contract import unknown
from tests.oracles import Layer, exact_radius

EPS = {"linf": 0.1, "l2": 0.3, "l1": 1.0}


def highs(
    evaluator: Evaluator,
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    norm: Norm,
    known: Interval | None = None,
) -> Tensor:
    """The distances of its witnesses, replayed; inf where it has none; none is refused."""
    threat = Threat(norm=norm, eps=EPS[norm])
    known = known or unknown(net, x, y)
    found = evaluator.judge(net, x, y, threat=threat, known=known)
    checked = replay(in_float64(net), x, y, found, threat=threat)
    assert not [outcome for outcome in checked.outcome if "refused" in outcome]
    return checked.high


@pytest.mark.parametrize("norm", NORMS)
def test_it_is_never_farther_than_a_start_that_float32_would_not_accept(
    norm: Norm, digits: DataSet, digits_net: nn.Sequential
) -> None:
    x = digits.x_test[:40]
    y = digits.y_test[:40]
    exact = in_float64(digits_net)
    known = unknown(digits_net, x, y)
    threat = Threat(norm=norm, eps=EPS[norm])
    far = torch.rand_like(x).double().round()
    given = adversarial(exact, far, y) & (known.high > 0)
    start = torch.full_like(far, torch.nan)
    start[given] = closer(exact, x[given].double(), y[given], far[given], steps=45)
    rounded = adversarial(exact, start[given].float(), y[given])
    assert 0 < rounded.sum() < given.sum()  # some starts are too near for float32
    high = torch.where(given, threat.distance(x, start), known.high)
    heard = Interval(low=known.low, high=high, witness=start)
    for attack in (RegionAttack(), RegionAttack(rounds=0, neighbours=0, walks=1)):
        found = highs(attack, digits_net, x, y, norm, heard)
        assert (found[given] <= high[given]).all()
    alone = RegionAttack().judge(digits_net, x, y, threat=threat, known=known)
    assert not alone.witness[known.high > 0].isnan().any()


@pytest.mark.parametrize("norm", NORMS)
def test_it_finds_near_witnesses_of_its_own(
    norm: Norm, digits: DataSet, digits_net: nn.Sequential
) -> None:
    x = digits.x_test[:40]
    y = digits.y_test[:40]
    correct = unknown(digits_net, x, y).high > 0
    found = highs(RegionAttack(), digits_net, x, y, norm)[correct]
    assert len(found) > 30
    assert found.isfinite().all()
    assert found.mean() < {"linf": 0.2, "l2": 0.9, "l1": 4.0}[norm]


def test_one_input_that_all_others_share_its_class_with_is_attacked_too(
    digits: DataSet, digits_net: nn.Sequential
) -> None:
    x = digits.x_test[:1]
    y = digits_net(x).argmax(1)
    assert highs(RegionAttack(), digits_net, x, y, "l2").isfinite().all()


def test_exact_inputs_are_skipped_and_certified_ones_attacked_all_the_same(
    digits_net: nn.Sequential,
) -> None:
    x = torch.rand(3, 1, 8, 8)
    y = digits_net(x).argmax(1)
    known = Interval(
        low=torch.tensor([0.0, 0.1, 0.2]).double(),
        high=torch.tensor([0.0, 0.1, torch.inf]).double(),
    )
    threat = Threat(norm="linf", eps=0.1)
    found = RegionAttack().judge(digits_net, x, y, threat=threat, known=known)
    assert found.outcome == ["skipped: already decided", "skipped: already decided", "done"]
    assert found.witness[:2].isnan().all()
    assert not found.witness[2].isnan().any()
    assert (found.low == 0).all()


def random_net(d: int, hidden: int, classes: int) -> tuple[nn.Sequential, list[Layer]]:
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(d, hidden), nn.ReLU(), nn.Linear(hidden, classes)
    ).requires_grad_(False)
    for parameter in net.parameters():
        parameter.normal_()
    return net, [
        (layer.weight.double().numpy(), layer.bias.double().numpy())
        for layer in net
        if isinstance(layer, nn.Linear)
    ]


@pytest.mark.parametrize("norm", ["linf", "l1"])
def test_on_random_tiny_networks_it_is_all_but_exact_and_never_nearer(norm: Norm) -> None:
    ratios: list[float] = []
    for seed in range(9):
        torch.manual_seed(seed)
        net, layers = random_net(3, 5, 3)
        x = torch.rand(6, 3)
        y = net(x).argmax(1)
        found = highs(RegionAttack(), net, x, y, norm).numpy()
        for image, label, high in zip(x, y, found, strict=True):
            exact = exact_radius(layers, image.double().numpy(), int(label), norm)
            assert high >= exact - 1e-7 or np.isinf(exact)
            ratios += [high / exact] if np.isfinite(exact) else []
    assert len(ratios) >= 30
    assert np.median(ratios) < 1.02


@pytest.fixture(scope="module")
def mmr_net(digits: DataSet) -> nn.Sequential:
    net = build("fc_small", digits.shape, digits.classes)
    train(
        net,
        Mmr(gamma=0.45),
        digits,
        threat=Threat(norm="l2", eps=0.3),
        training=Training(epochs=40),
        seed=0,
        augmented=False,
    )
    return net.requires_grad_(False).eval()


def test_its_excess_over_exact_radii_is_less_than_half_of_cws(
    digits: DataSet, mmr_net: nn.Sequential
) -> None:
    x = digits.x_test[:150]
    y = digits.y_test[:150]
    known = unknown(mmr_net, x, y)
    l2 = Threat(norm="l2", eps=EPS["l2"])
    region = Region().judge(mmr_net, x, y, threat=l2, known=known)
    exact = torch.tensor([outcome == "done: exact" for outcome in region.outcome])
    assert exact.sum() > 50
    radius = region.low[exact]
    excess = {}
    for attack in (Cw(preset="fast"), RegionAttack()):
        high = highs(attack, mmr_net, x[exact], y[exact], "l2")
        assert (high >= radius - 1e-7).all()
        excess[attack.label] = float((high / radius).mean()) - 1
    assert excess["region attack"] < excess["CW"] / 2, excess
