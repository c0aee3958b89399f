"""CROWN on networks that are no chains, beside auto_LiRPA, which relaxes ReLUs alike.

Leaky ReLUs and poolings it relaxes otherwise.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from evaluators._auto_lirpa import auto_lirpa
from relu.bounds.ball import ball_of
from relu.bounds.linear import margin_lower_bounds, relax
from relu.classes import others
from relu.network.architectures import build
from relu.network.layers import Shape, to_vectors
from relu.network.reader import read_layers
from relu.threat import Threat
from tests.hostile.graphs import Concatenation, Normalisation

EPS = 0.02
CLASSES = 10
Network = tuple[nn.Module, Shape]


@pytest.fixture
def doubles() -> Iterator[None]:
    """New tensors are float64, those of the library too."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def residual() -> Network:
    return build("resnet", (1, 8, 8), CLASSES), (1, 8, 8)


def batch_normalised() -> Network:
    net = build("cnn3", (1, 8, 8), CLASSES)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return net, (1, 8, 8)


def densely_connected() -> Network:
    first = Concatenation(nn.Sequential(nn.Linear(16, 8), nn.ReLU()))
    second = Concatenation(nn.Sequential(nn.Linear(24, 8), nn.ReLU()))
    return nn.Sequential(nn.Flatten(), first, second, nn.Linear(32, CLASSES)), (1, 4, 4)


def grouped_and_dilated() -> Network:
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=2, dilation=2, groups=2),
        nn.ReLU(),
        nn.Conv2d(4, 4, (1, 3), stride=(1, 2)),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 6 * 2, CLASSES),
    )
    return net, (2, 6, 6)


def normalised_and_averaged() -> Network:
    net = nn.Sequential(
        Normalisation([0.4, 0.5], [0.2, 0.3]),
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 3 * 3, CLASSES),
    )
    return net, (2, 6, 6)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "network",
    [
        residual,
        batch_normalised,
        densely_connected,
        grouped_and_dilated,
        normalised_and_averaged,
    ],
)
def test_crown_margins_on_graphs_are_those_of_auto_lirpa(network: Any, doubles: None) -> None:
    try:
        library = auto_lirpa()
    except ImportError:
        pytest.skip("auto_LiRPA is not installed")
    net, shape = network()
    net = net.double().eval().requires_grad_(False)
    x = torch.rand(6, *shape)
    y = net(x).argmax(1)
    y[0] = (y[0] + 1) % CLASSES
    rows = torch.eye(CLASSES)[y].unsqueeze(1) - torch.eye(CLASSES)[others(y, CLASSES)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"conv_mode": "matrix"}
        bounded = library.BoundedModule(net, x[:1], device="cpu", bound_opts=options)
        ball = library.perturbations.PerturbationLpNorm(norm=float("inf"), eps=EPS)
        inputs = library.BoundedTensor(x, ball)
        expected, _ = bounded.compute_bounds(x=(inputs,), C=rows, method="CROWN", bound_upper=False)
    layers = read_layers(net, shape)
    around = ball_of(to_vectors(layers, x), Threat(norm="linf", eps=EPS), box=False)
    margins = margin_lower_bounds(relax(layers, around, "crown"), y)
    assert expected.abs().max() > 0.1
    assert torch.allclose(margins, expected.detach(), atol=1e-7)
