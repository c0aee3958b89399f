"""Layers as maps between vectors: equal to torch's network, each with its transpose."""

import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from relu.errors import InputError
from relu.network.activation import activated
from relu.network.architectures import ARCHITECTURES, build
from relu.network.layers import Conv, Dense, to_images, to_vectors
from relu.network.reader import read_layers, refusal
from tests.strategies import seeds


def relu_net(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 11, 13)])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_layers_and_relus_are_the_network(arch: str, shape: tuple[int, int, int]) -> None:
    net = build(arch, shape, 10).double()
    x = torch.rand(3, *shape, dtype=torch.float64)
    layers = read_layers(net, shape)
    g = to_vectors(layers, x)
    assert torch.equal(to_images(layers, g, shape), x)
    for layer in layers[:-1]:
        g = activated(layer, layer.forward(g))
        assert g.shape == (3, layer.size)
    assert torch.allclose(layers[-1].forward(g), net(x), rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    channels=st.sampled_from([(1, 2), (3, 4), (5, 3)]),
    size=st.tuples(*[st.integers(5, 9)] * 2),
)
def test_a_convolution_and_its_transpose_are_one_matrix(
    seed: int,
    kernel: int,
    stride: int,
    padding: int,
    channels: tuple[int, int],
    size: tuple[int, int],
) -> None:
    torch.manual_seed(seed)
    module = nn.Conv2d(*channels, kernel, stride=stride, padding=padding).double()
    shape = (channels[0], *size)
    layer = Conv(module.weight.detach(), torch.zeros(channels[1]), stride, padding, shape)
    g = torch.rand(2, shape[0] * shape[1] * shape[2], dtype=torch.float64)
    r = torch.rand(2, layer.size, dtype=torch.float64)
    assert layer.transposed(r).shape == g.shape
    assert torch.allclose((layer.linear(g) * r).sum(1), (layer.transposed(r) * g).sum(1))


def test_flattening_before_a_linear_layer_keeps_torchs_order() -> None:
    net = relu_net(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(60, 4))
    x = torch.rand(2, 2, 4, 5)
    layers = read_layers(net, (2, 4, 5))
    z = layers[1].forward(layers[0].forward(to_vectors(layers, x)).relu())
    assert torch.allclose(z, net(x), atol=1e-6)


def test_parameters_are_shared_and_biases_may_be_missing() -> None:
    net = relu_net(nn.Linear(3, 2, bias=False), nn.ReLU(), nn.Linear(2, 2))
    first, last = read_layers(net, (3,))
    assert isinstance(first, Dense)
    assert first.weight is net[0].weight
    assert not first.bias.any()
    assert isinstance(last, Dense)
    assert last.bias is net[2].bias


def test_a_module_that_is_used_twice_counts_twice() -> None:
    block = nn.Linear(3, 3)
    relu = nn.ReLU()
    net = relu_net(block, relu, block, relu, nn.Linear(3, 2)).double()
    x = torch.randn(4, 3, dtype=torch.float64)
    g = x
    layers = read_layers(net, (3,))
    for layer in layers[:-1]:
        g = layer.forward(g).relu()
    assert torch.allclose(layers[-1].forward(g), net(x))


class Shifted(nn.Linear):
    """Not what its base class is."""

    def forward(self, x: Any) -> Any:
        return super().forward(x) + 1


def test_what_a_subclass_computes_is_read() -> None:
    net = Shifted(3, 2).double()
    (layer,) = read_layers(net, (3,))
    x = torch.randn(4, 3, dtype=torch.float64)
    assert torch.allclose(layer.forward(x), net(x))


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (relu_net(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 2)), r"layer 1 \(Sigmoid\)"),
        (relu_net(relu_net(nn.Linear(2, 2), nn.Tanh()), nn.Linear(2, 2)), r"layer 0.1 \(Tanh\)"),
        (relu_net(nn.Flatten(), nn.Linear(32, 1)), "a vector of logits, for two classes or more"),
        (relu_net(), "a vector of logits"),
        (relu_net(nn.Flatten(), nn.Linear(2, 2)), r"layer 1 \(Linear\) takes 2 numbers, got"),
        (nn.Linear(2, 2), "takes 2 numbers"),
        (relu_net(nn.Conv2d(3, 1, 3), nn.ReLU(), nn.Linear(4, 2)), "takes 3 channels"),
        (nn.Bilinear(2, 2, 2), "(?i)bilinear"),
        (relu_net(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")), "pads with reflect"),
        (relu_net(nn.LeakyReLU(1.5)), r"has slope 1.5, expected one from 0 to 1"),
        (relu_net(nn.MaxPool2d(3, return_indices=True)), "returns indices"),
        (relu_net(nn.AvgPool2d(2, divisor_override=3)), "has a divisor"),
        (relu_net(nn.Dropout()), "is random"),
        (relu_net(nn.BatchNorm2d(2)), "must be in evaluation mode"),
        (relu_net(nn.AdaptiveAvgPool2d(2)), "has output size 2, expected 1"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(net: nn.Module, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_layers(net, (2, 4, 4))
    if "layer" in reason and "takes" not in reason:  # of which a shape need not be known
        assert refusal(net) is not None


@pytest.mark.parametrize("changed", ["hook", "weight_norm", "forward"])
def test_modules_that_compute_something_else_than_their_class_are_refused(changed: str) -> None:
    net = relu_net(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    if changed == "hook":
        net[1].register_forward_hook(lambda module, inputs, output: -output)
    elif changed == "weight_norm":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is deprecated, and still used
            nn.utils.weight_norm(net[0])
    else:
        net[1].forward = torch.sigmoid
    assert "has hooks, or a forward of its own" in str(refusal(net))
    with pytest.raises(InputError, match="has hooks, or a forward of its own"):
        read_layers(net, (3,))


def test_every_architecture_is_accepted_before_it_has_weights() -> None:
    for arch in ARCHITECTURES:
        with torch.device("meta"):
            assert refusal(ARCHITECTURES[arch][1]((1, 8, 8), 10)) is None
    with pytest.raises(InputError, match=r"layer 0 \(Conv2d\) needs images"):
        read_layers(build("cnn", (1, 8, 8), 10), (64,))
