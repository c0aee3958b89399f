"""KW: its schedule, its loss by hand on a linear network, and what it is for."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.datasets import DataSet
from bench.jobs.training import train
from bench.plugins.training import Training
from methods.kw import Kw
from relu.bounds.ball import ball_of
from relu.bounds.linear import margin_lower_bounds, relax
from relu.errors import InputError
from relu.network.architectures import build
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.threat import Threat

LINF = Threat(norm="linf", eps=0.1)


def test_on_a_linear_network_it_is_the_cross_entropy_of_the_worst_logits(
    linear_net: Callable[[Tensor, Tensor], nn.Sequential],
) -> None:
    weight = torch.tensor([[1.0, -2.0], [0.5, 1.0], [0.0, 0.0]])
    bias = torch.zeros(3)
    x = torch.tensor([[0.5, 0.5]])
    y = torch.tensor([1])
    net = linear_net(weight, bias)
    for progress, share in ((0.0, 0.2), (0.25, 0.6), (0.5, 1.0), (0.9, 1.0)):
        eps = share * LINF.eps
        worst = torch.tensor([[-0.5 + eps * 3.5, 0.0, -0.75 + eps * 1.5]])
        worst[0, 0] = -((0.5 - 1.0) * 0.5 + (1.0 + 2.0) * 0.5 - eps * 3.5)
        worst[0, 2] = -(0.5 * 0.5 + 1.0 * 0.5 - eps * 1.5)
        found = Kw(start=0.2).loss(net, x, y, threat=LINF, progress=progress)
        assert found.item() == pytest.approx(F.cross_entropy(worst, y).item(), rel=1e-5)


def test_without_a_ramp_the_radius_is_the_full_one_at_once() -> None:
    net = build("fc_small", (1, 8, 8), 10)
    x = torch.rand(4, 1, 8, 8)
    y = torch.arange(4)
    at_once = Kw(ramp=0.0).loss(net, x, y, threat=LINF, progress=0.0)
    at_last = Kw().loss(net, x, y, threat=LINF, progress=0.99)
    assert at_once.item() == pytest.approx(at_last.item())


def test_inside_the_box_the_loss_is_smaller() -> None:
    net = build("fc_small", (1, 8, 8), 10)
    x = torch.rand(8, 1, 8, 8).round()
    y = torch.arange(8)
    inside, outside = (Kw(box=b).loss(net, x, y, threat=LINF, progress=0.9) for b in (True, False))
    assert inside < outside


def test_few_epochs_teach_a_network_what_can_be_certified(digits: DataSet) -> None:
    shares = []
    for method in (Kw(), Kw(wide=0, projections=20)):
        net = build("fc_small", digits.shape, digits.classes)
        train(
            net, method, digits, threat=LINF, training=Training(epochs=40), seed=0, augmented=False
        )
        net = net.double().requires_grad_(False)
        layers = read_layers(net, digits.shape)
        x = digits.x_test.double()
        y = digits.y_test
        bound = margin_lower_bounds(
            relax(layers, ball_of(to_vectors(layers, x), LINF), "kw"), y
        ).amin(1)
        shares.append(float((bound > 0).double().mean()))
    exact, projected = shares
    assert exact > 0.5  # a plain training has 0.01
    assert projected > 0.4


@pytest.mark.parametrize(
    ("field", "value"), [("start", 0.0), ("ramp", 1.5), ("projections", 0), ("wide", -1)]
)
def test_settings_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"kw\.{field}.*{value}"):
        Kw(**{field: value})  # type: ignore[arg-type]
