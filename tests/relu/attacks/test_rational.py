"""Margins in exact arithmetic, against fractions written out layer by layer."""

from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from relu.attacks.rational import exact_margins
from relu.network.layers import to_vectors
from relu.network.reader import in_float64, read_layers


def by_hand(net: nn.Module, z: Tensor, label: int) -> Fraction:
    """A dense network's margin at one point."""
    values = [Fraction(v) for v in z.flatten().tolist()]
    for layer in net.children():
        if isinstance(layer, nn.Linear):
            rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
            values = [
                sum((Fraction(w) * v for w, v in zip(row, values, strict=True)), Fraction(bias))
                for row, bias in rows
            ]
        elif isinstance(layer, nn.ReLU):
            values = [max(v, Fraction(0)) for v in values]
    return values[label] - max(v for s, v in enumerate(values) if s != label)


@pytest.mark.parametrize("scales", [(1.0,) * 3, (1e-30, 1e8, 1e-12), (1e30, 1e-38, 1e20)])
@pytest.mark.parametrize("seed", range(5))
def test_dense_margins_are_exact(seed: int, scales: Sequence[float]) -> None:
    torch.manual_seed(seed)
    linear = [nn.Linear(3, 5), nn.Linear(5, 4), nn.Linear(4, 3)]
    for layer, scale in zip(linear, scales, strict=True):
        layer.weight.data *= scale
        layer.bias.data[0] = 0.0
    net = nn.Sequential(nn.Flatten(), linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2])
    exact_net = in_float64(net)
    z = torch.rand(4, 3).double()
    y = torch.tensor([0, 1, 2, 0])
    z[0, 1] = 0.0
    found = exact_margins(read_layers(exact_net, (3,)), z, y)
    assert found == [by_hand(exact_net, z[i], int(y[i])) for i in range(4)]


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding"),
    [((1, 5, 7), 3, 2, 1), ((2, 3, 3), 4, 1, 2), ((1, 1, 6), 1, 3, 0), ((2, 4, 4), 3, 3, 2)],
)
def test_convolutions_are_exact_too(
    shape: tuple[int, int, int], kernel: int, stride: int, padding: int
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(shape[0], 3, kernel, stride=stride, padding=padding)
    size = conv(torch.zeros(1, *shape)).numel()
    net = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(size, 3))
    for weight in net.parameters():  # whole numbers, of which float64 is exact
        weight.data = (weight.data * 50).round()
    exact_net = in_float64(net)
    z = torch.randint(0, 9, (3, *shape)).double()
    y = torch.tensor([0, 1, 2])
    layers = read_layers(exact_net, shape)
    logits = exact_net(z)
    margins = [logits[i, i] - logits[i][torch.arange(3) != i].max() for i in range(3)]
    assert [float(m) for m in exact_margins(layers, to_vectors(layers, z), y)] == [
        float(m) for m in margins
    ]


def test_numbers_that_are_none_are_refused() -> None:
    layer = nn.Linear(1, 2)
    layer.weight.data[0] = torch.nan
    layers = read_layers(in_float64(nn.Sequential(nn.Flatten(), layer)), (1,))
    with pytest.raises(ValueError, match="finite"):
        exact_margins(layers, torch.zeros(1, 1).double(), torch.tensor([0]))
