import math

import pytest
import torch
from torch import nn

from relu.classes import margins
from relu.errors import InputError
from relu.network.architectures import ARCHITECTURES, build, dense_architecture


def hidden_units(net: nn.Sequential, shape: tuple[int, ...]) -> int:
    """Counts the ReLUs' inputs for one image."""
    count = 0
    x = torch.zeros(1, *shape)
    for layer in net:
        count += x.numel() if isinstance(layer, nn.ReLU) else 0
        x = layer(x)
    return count


@pytest.mark.parametrize(
    ("arch", "shape", "units"),
    [
        ("fc1", (1, 28, 28), 1024),
        ("fc10", (1, 28, 28), 124 + 7 * 104 + 2 * 86),
        ("cnn", (1, 28, 28), 4804),
        ("cnn", (3, 32, 32), 6244),
    ],
)
def test_hidden_units_are_the_papers(arch: str, shape: tuple[int, ...], units: int) -> None:
    assert hidden_units(build(arch, shape, 10), shape) == units


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (2, 5, 9)])
def test_every_architecture_takes_any_image_and_class_count(
    arch: str, shape: tuple[int, ...]
) -> None:
    assert build(arch, shape, 7)(torch.rand(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("arch", ["cnn", "cnn3", "cnn5", "cnn7"])
def test_an_image_too_small_to_convolve_is_refused(arch: str) -> None:
    for shape in [(1, 3, 3), (64,)]:
        with pytest.raises(InputError, match=f"^{arch} needs images .* at least 4 x 4, got"):
            build(arch, shape, 10)
    build(arch, (1, 4, 4), 10)


@pytest.mark.parametrize(
    ("arch", "shape", "count"),
    [
        ("cnn3", (1, 28, 28), 64 * 26 + 128 * 1025 + 2 * 192 + 10 * (128 * 49 + 1)),
        ("cnn5", (3, 32, 32), 64 * 28 + 64 * 1025 + 128 * 1025 + 512 * 8193 + 2 * 768 + 5130),
        ("cnn7", (1, 28, 28), 13_259_338),
        ("cnn7", (3, 32, 32), 17_192_650),
    ],
)
def test_the_networks_of_certified_training_are_the_literatures(
    arch: str, shape: tuple[int, ...], count: int
) -> None:
    net = build(arch, shape, 10)
    assert sum(p.numel() for p in net.parameters()) == count
    kinds = [type(layer) for layer in net if type(layer) is not nn.Flatten]
    number = int(arch[3:])
    convolutions = {3: 2, 5: 3, 7: 5}[number]
    expected: list[type[nn.Module]] = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * convolutions
    expected += [nn.Linear, nn.BatchNorm1d, nn.ReLU] * (number > 3) + [nn.Linear]
    assert kinds == expected


def test_initial_weights_are_he_normal_with_zero_biases() -> None:
    dense = build("fc1", (1, 28, 28), 10)[1]
    assert isinstance(dense, nn.Linear)
    assert dense.weight.std().item() == pytest.approx(math.sqrt(2 / 784), rel=0.01)
    assert not dense.bias.any()
    net = build("cnn5", (1, 8, 8), 10)
    for layer in net:
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            assert (layer.weight == 1).all() and not layer.bias.any()
        elif isinstance(layer, nn.Linear | nn.Conv2d):
            std = math.sqrt(2 / layer.weight[0].numel())
            assert layer.weight.std().item() == pytest.approx(std, rel=0.06)
            assert layer.bias is not None and not layer.bias.any()


def test_the_seed_alone_decides_the_initial_weights() -> None:
    first, second, other = (build("cnn_small", (1, 8, 8), 10, seed=s) for s in (3, 3, 4))
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(first(x), second(x))
    assert not torch.equal(first(x), other(x))


def test_margins_and_ties_worked_out_by_hand() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [2.0, 2.0, 0.0]])
    assert margins(logits, torch.tensor([0, 1, 0])).tolist() == [1.0, -2.0, 0.0]


def test_names_may_say_the_widths_of_dense_layers() -> None:
    arch = dense_architecture("fc:5-7")
    assert arch is not None
    net = arch.build((1, 2, 2), 3)
    linear = [module for module in net.modules() if isinstance(module, nn.Linear)]
    shapes = [tuple(module.weight.shape) for module in linear]
    assert shapes == [(5, 4), (7, 5), (3, 7)]
    for name in ("fc", "fc:", "fc:0", "fc:5-", "fc:-5", "fc:5x", "fc:9999999", "fc1"):
        assert dense_architecture(name) is None
