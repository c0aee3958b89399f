import numpy as np
import pytest
import torch
from torch import nn

from bench.parsing import NORMS
from evaluators.interface import Interval
from evaluators.pgd import Pgd
from relu.attacks.witness import adversarial
from relu.classes import margins
from relu.network.reader import in_float64
from relu.threat import Norm, Threat
from tests.evaluators.test_contract import unknown
from tests.oracles import Layer, exact_radius


@pytest.mark.parametrize("norm", NORMS)
def test_witnesses_at_eps_lie_inside_without_slack_and_fool_in_float64(
    norm: Norm, digits_net: nn.Sequential
) -> None:
    threat = Threat(norm=norm, eps={"linf": 0.08, "l2": 0.4, "l1": 1.5}[norm])
    x = torch.rand(60, 1, 8, 8)
    y = digits_net(x).argmax(1)
    evidence = Pgd(growth=1.0).judge(
        digits_net, x, y, threat=threat, known=unknown(digits_net, x, y)
    )
    found = ~evidence.witness.flatten(1)[:, 0].isnan()
    assert 0 < found.sum() < 60
    assert threat.contains(x[found], evidence.witness[found]).all()
    assert adversarial(in_float64(digits_net), evidence.witness[found], y[found]).all()


def test_growing_balls_give_every_input_a_witness(digits_net: nn.Sequential) -> None:
    x = torch.rand(60, 1, 8, 8)
    y = digits_net(x).argmax(1)
    threat = Threat(norm="linf", eps=0.01)
    evidence = Pgd().judge(digits_net, x, y, threat=threat, known=unknown(digits_net, x, y))
    assert not evidence.witness.isnan().any()
    assert set(evidence.outcome) == {"done"}


def test_the_closest_witness_is_near_the_exact_radius_of_a_tiny_network() -> None:
    torch.manual_seed(6)
    last = nn.Linear(5, 3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 5), nn.ReLU(), last)
    net.requires_grad_(False)
    for parameter in net.parameters():
        parameter.normal_()
    last.bias.zero_()  # this seed's network has two classes inside the box
    layers: list[Layer] = [
        (layer.weight.double().numpy(), layer.bias.double().numpy())
        for layer in net
        if isinstance(layer, nn.Linear)
    ]
    x = torch.rand(12, 3)
    y = net(x).argmax(1)
    for norm in ("linf", "l1"):
        threat = Threat(norm=norm, eps=0.02)
        evidence = Pgd(growth=1.1, bisection_steps=30, restarts=5).judge(
            net, x, y, threat=threat, known=unknown(net, x, y)
        )
        high = threat.distance(x, evidence.witness).nan_to_num(torch.inf).numpy()
        exact = [
            exact_radius(layers, a.double().numpy(), int(b), norm)
            for a, b in zip(x, y, strict=True)
        ]
        reachable = np.isfinite(exact)
        assert reachable.any()
        assert (high[reachable] >= np.array(exact)[reachable] - 1e-9).all()
        assert np.median(high[reachable] / np.array(exact)[reachable]) < 1.15


def test_fooled_inputs_cost_nothing_and_certified_ones_are_attacked_all_the_same(
    digits_net: nn.Sequential,
) -> None:
    x = torch.rand(3, 1, 8, 8)
    y = digits_net(x).argmax(1)
    known = Interval(
        low=torch.tensor([0.0, 0.0, 0.2], dtype=torch.float64),
        high=torch.tensor([0.0, 0.1, torch.inf], dtype=torch.float64),
    )
    threat = Threat(norm="linf", eps=0.1)
    evidence = Pgd().judge(digits_net, x, y, threat=threat, known=known)
    assert evidence.outcome == ["skipped: already decided", "skipped: already decided", "done"]
    assert evidence.witness[:2].isnan().all()
    assert not evidence.witness[2].isnan().any()


def test_a_higher_effort_never_finds_fewer(digits_net: nn.Sequential) -> None:
    x = torch.rand(200, 1, 8, 8)
    y = digits_net(x).argmax(1)
    threat = Threat(norm="linf", eps=0.04)
    counts = []
    for restarts in (1, 4):
        torch.manual_seed(0)
        evidence = Pgd(restarts=restarts, growth=1.0).judge(
            digits_net, x, y, threat=threat, known=unknown(digits_net, x, y)
        )
        counts.append(int((~evidence.witness.flatten(1)[:, 0].isnan()).sum()))
    assert counts[0] <= counts[1]


def test_a_constant_network_has_no_witness_and_no_endless_search() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).requires_grad_(False)
    net.load_state_dict({"1.weight": torch.zeros(2, 4), "1.bias": torch.tensor([1.0, 0.0])})
    x = torch.rand(3, 4)
    y = torch.zeros(3, dtype=torch.long)
    assert (margins(net(x), y) > 0).all()
    evidence = Pgd().judge(net, x, y, threat=Threat(norm="l2", eps=0.1), known=unknown(net, x, y))
    assert evidence.witness.isnan().all()


@pytest.mark.parametrize("norm", NORMS)
def test_witnesses_lie_in_a_box_whose_edges_are_no_float32(norm: Norm) -> None:
    layer = nn.Linear(1, 2)
    layer.load_state_dict(
        {"weight": torch.tensor([[0.0], [-1.0]]), "bias": torch.tensor([0.05, 0.0])}
    )
    net = nn.Sequential(nn.Flatten(), layer).requires_grad_(False)
    x = torch.zeros(3, 1)
    y = torch.zeros(3, dtype=torch.long)
    threat = Threat(norm=norm, eps=0.5, box=(-0.1, 1.1))
    known = Interval(low=torch.zeros(3).double(), high=torch.full((3,), torch.inf).double())
    witness = Pgd(bisection_steps=0).judge(net, x, y, threat=threat, known=known).witness
    assert (witness.double() >= -0.1).all()
    assert threat.in_box(witness).all()
