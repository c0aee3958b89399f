"""Walks through linear regions: closed forms on linear networks, and what they never do."""

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from bench.parsing import NORMS
from relu.attacks.region_attack import approach, walk
from relu.classes import margins
from relu.network.architectures import build
from relu.network.reader import in_float64
from relu.regions.box_projection import nearest_on_hyperplanes
from relu.threat import Norm, Threat
from tests.strategies import seeds, tiny_nets


def near(z: Tensor, x: Tensor, threat: Threat) -> Tensor:
    return threat.length(z - x).nan_to_num(torch.inf)


@pytest.mark.parametrize("box", [(0.0, 1.0), (-0.5, 2.0)])
@pytest.mark.parametrize("norm", NORMS)
def test_on_a_linear_network_they_reach_the_nearest_hyperplane_in_the_box(
    norm: Norm, box: tuple[float, float]
) -> None:
    n = 40
    d = 6
    classes = 4
    threat = Threat(norm=norm, eps=0.1, box=box)
    weight = torch.randn(classes, d).double()
    bias = torch.randn(classes).double() / 2
    layer = nn.Linear(d, classes, dtype=torch.float64)
    layer.load_state_dict({"weight": weight, "bias": bias})
    net = nn.Sequential(layer).requires_grad_(False)
    x = torch.rand(n, d).double()
    y = net(x).argmax(1)
    other_classes = torch.tensor(
        [[s for s in range(classes) if s != label] for label in y.tolist()]
    )
    planes = weight[y].unsqueeze(1) - weight[other_classes]
    distances, _ = nearest_on_hyperplanes(
        x, planes, bias[y].unsqueeze(1) - bias[other_classes], threat
    )
    expected = distances.amin(1)
    assert 20 <= expected.isfinite().sum() <= n
    met = approach(net, x, y, shape=(d,), threat=threat, other_classes=9, steps=15)
    assert met.shape == (n, classes - 1, d)
    which = torch.arange(n).repeat_interleave(classes - 1)
    z = walk(
        net,
        x[which],
        y[which],
        met.flatten(0, 1),
        shape=(d,),
        threat=threat,
        rounds=1,
        neighbours=0,
    )
    found = near(z, x[which], threat).view(n, -1).amin(1)
    assert torch.equal(found.isfinite(), expected.isfinite())
    reached = expected.isfinite()
    assert torch.allclose(found[reached], expected[reached], rtol=1e-9, atol=0)
    assert (found >= expected * (1 - 1e-12)).all()


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=25, deadline=None)
@given(drawn=tiny_nets(), seed=seeds)
def test_a_walk_stays_adversarial_in_the_box_and_never_leads_away(
    norm: Norm, drawn: tuple[nn.Sequential, int], seed: int
) -> None:
    net, d = drawn
    torch.manual_seed(seed)
    threat = Threat(norm=norm, eps=0.1)
    exact = in_float64(net)
    x, start = torch.rand(2, 12, d).round(decimals=1).double()
    y = exact(x).argmax(1)
    fooled = margins(exact(start), y) <= 0
    x = x[fooled]
    y = y[fooled]
    start = start[fooled]
    if not len(x):
        return
    z = walk(exact, x, y, start, shape=(d,), threat=threat, rounds=4, neighbours=3)
    assert (threat.length(z - x) <= threat.length(start - x)).all()
    assert (margins(exact(z), y) <= 0).all()
    assert threat.in_box(z).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_walk_stays_clear_of_what_another_batch_may_round(norm: Norm) -> None:
    torch.manual_seed(0)
    net = in_float64(build("fc1", (1, 28, 28), 10))
    x, start = torch.rand(2, 200, 784).double()
    y = net(x).argmax(1)
    fooled = margins(net(start), y) <= 0
    x = x[fooled]
    y = y[fooled]
    start = start[fooled]
    clear = 2.0**-40
    threat = Threat(norm=norm, eps=0.1)
    z = walk(net, x, y, start, shape=(784,), threat=threat, rounds=3, neighbours=0, clear=clear)
    moved = (z != start).any(1)
    assert moved.sum() > 50
    for alone, label in zip(z[moved].split(1), y[moved].split(1), strict=True):
        logits = net(alone)
        assert margins(logits, label) <= -0.9 * clear * logits.abs().amax()


@pytest.mark.parametrize("norm", NORMS)
def test_what_an_approach_meets_is_adversarial_and_in_the_box(
    norm: Norm, digits_net: nn.Sequential
) -> None:
    net = in_float64(digits_net)
    threat = Threat(norm=norm, eps=0.1)
    x = torch.rand(20, 64).double()
    y = net(x.view(-1, 1, 8, 8)).argmax(1)
    met = approach(net, x, y, shape=(1, 8, 8), threat=threat, other_classes=2, steps=10)
    assert met.shape == (20, 2, 64)
    z = met.flatten(0, 1)
    which = torch.arange(20).repeat_interleave(2)
    hit = ~z[:, 0].isnan()
    assert hit.sum() > 20
    assert (margins(net(z[hit].view(-1, 1, 8, 8)), y[which][hit]) <= 0).all()
    assert threat.in_box(z[hit]).all()


@pytest.mark.parametrize("norm", NORMS)
def test_nan_stays_nan_and_disturbs_no_other(norm: Norm, digits_net: nn.Sequential) -> None:
    net = in_float64(digits_net)
    threat = Threat(norm=norm, eps=0.1)
    x, start = torch.rand(2, 30, 64).double()
    y = net(x.view(-1, 1, 8, 8)).argmax(1)
    fooled = margins(net(start.view(-1, 1, 8, 8)), y) <= 0
    start[~fooled] = torch.nan
    assert 0 < fooled.sum() < 30
    z = walk(net, x, y, start, shape=(1, 8, 8), threat=threat, rounds=3, neighbours=2)
    assert z[~fooled].isnan().all()
    assert (near(z, x, threat) < near(start, x, threat))[fooled].all()


def test_a_constant_network_gives_an_approach_nothing_to_go_to() -> None:
    layer = nn.Linear(3, 2)
    layer.load_state_dict({"weight": torch.zeros(2, 3), "bias": torch.tensor([1.0, 0.0])})
    x = torch.rand(4, 3)
    y = torch.zeros(4, dtype=torch.long)
    for norm in NORMS:
        threat = Threat(norm=norm, eps=0.1)
        met = approach(layer, x, y, shape=(3,), threat=threat, other_classes=5, steps=5)
        assert met.shape == (4, 1, 3)
        assert met.isnan().all()


def test_without_rounds_a_walk_stays_where_it_is(digits_net: nn.Sequential) -> None:
    x, z = torch.rand(2, 5, 64)
    y = torch.zeros(5, dtype=torch.long)
    threat = Threat(norm="l2", eps=0.1)
    found = walk(digits_net, x, y, z, shape=(1, 8, 8), threat=threat, rounds=0, neighbours=3)
    assert torch.equal(found, z)
