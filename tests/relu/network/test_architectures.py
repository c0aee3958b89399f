import math

import pytest
import torch
from torch import nn

from relu.classes import margins
from relu.errors import InputError
from relu.network.architectures import ARCHITECTURES, build


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


def test_an_image_too_small_to_convolve_is_refused() -> None:
    with pytest.raises(InputError, match="at least 4 x 4"):
        build("cnn", (1, 3, 3), 10)


def test_initial_weights_are_he_normal_with_zero_biases() -> None:
    dense = build("fc1", (1, 28, 28), 10)[1]
    assert isinstance(dense, nn.Linear)
    assert dense.weight.std().item() == pytest.approx(math.sqrt(2 / 784), rel=0.01)
    assert not dense.bias.any()


def test_the_seed_alone_decides_the_initial_weights() -> None:
    first, second, other = (build("cnn_small", (1, 8, 8), 10, seed=s) for s in (3, 3, 4))
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(first(x), second(x))
    assert not torch.equal(first(x), other(x))


def test_margins_and_ties_worked_out_by_hand() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [2.0, 2.0, 0.0]])
    assert margins(logits, torch.tensor([0, 1, 0])).tolist() == [1.0, -2.0, 0.0]
