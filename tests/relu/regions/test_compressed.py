"""Compressed Jacobians of layers that are no chain: norms and gradients against whole ones."""

import pytest
import torch
from torch import Tensor, nn

from bench.parsing import NORMS
from relu.network.activation import switching_units
from relu.network.architectures import build
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.norms import dual_length
from relu.regions.colouring import compression_of
from relu.regions.distances import boundary_distances
from relu.regions.jacobian import norms
from relu.regions.region import Region, region_of
from relu.threat import Norm, Threat
from tests.hostile.graphs import Concatenation, Sum


def dilated() -> nn.Sequential:
    """Kernels, strides and paddings that differ from side to side, groups, a concatenation."""
    return nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), stride=(1, 2), padding=(0, 1), dilation=(2, 1)),
        nn.LeakyReLU(0.25),
        Concatenation(nn.Sequential(nn.Conv2d(4, 2, 3, padding=1, groups=2), nn.ReLU())),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Conv2d(6, 3, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(7),
        nn.ReLU(),
        nn.Linear(7, 10),
    )


def residual_dense() -> nn.Sequential:
    """Of vectors, whose entries all have colours of their own."""
    body = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 12))
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), Sum(body, nn.Identity(), nn.ReLU())
    ).append(nn.Linear(12, 10))


CASES = [
    ("cnn_pool", (2, 9, 12)),
    ("resnet", (2, 9, 11)),
    ("dilated", (2, 9, 8)),
    ("residual_dense", (1, 4, 4)),
]
GAMMA = {"linf": 0.1, "l2": 0.5, "l1": 2.0}


def network(arch: str, shape: tuple[int, ...]) -> nn.Module:
    torch.manual_seed(0)
    own = {"dilated": dilated, "residual_dense": residual_dense}
    net = own[arch]() if arch in own else build(arch, shape, 10)
    net(torch.zeros(1, *shape))
    for parameter in net.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return net.double()


def region_at(net: nn.Module, x: Tensor) -> Region:
    layers = read_layers(net, tuple(x.shape[1:]))
    return region_of(layers, to_vectors(layers, x))


def whole_norms(region: Region, q: float) -> Tensor:
    """By every column of the Jacobians, differentiable; 0 of units without a kink."""
    n, d = region.x.shape
    columns = torch.eye(d, dtype=region.x.dtype).expand(n, -1, -1)
    lengths = []
    for layer, slopes in zip(region.hidden, region.slopes, strict=True):
        moved = layer.linear(columns.flatten(0, 1)).unflatten(0, (n, d))
        lengths.append(dual_length(moved.transpose(1, 2), q))
        columns = moved * slopes.unsqueeze(1)
    kinked = switching_units(region.hidden)
    return torch.cat(lengths, dim=1) * (1 if kinked is None else kinked)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("arch", "shape"), CASES)
def test_norms_are_those_of_whole_jacobians(
    arch: str, shape: tuple[int, ...], norm: Norm, monkeypatch: pytest.MonkeyPatch
) -> None:
    q = Threat(norm=norm, eps=1.0).q
    region = region_at(network(arch, shape), torch.rand(3, *shape, dtype=torch.float64))
    kinked = switching_units(region.hidden)
    assert kinked is not None
    expected = whole_norms(region, q)
    assert torch.allclose(norms(region, q) * kinked, expected, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr("relu.batching.PART", 1)
    assert torch.allclose(norms(region, q) * kinked, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("k", [3, 60])  # a few rows, and many: rather compressed columns
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("arch", "shape"), CASES)
def test_gradients_are_those_of_whole_jacobians(
    arch: str, shape: tuple[int, ...], norm: Norm, k: int
) -> None:
    net = network(arch, shape)
    threat = Threat(norm=norm, eps=1.0)
    region = region_at(net, torch.rand(4, *shape, dtype=torch.float64))
    kinked = switching_units(region.hidden)
    assert kinked is not None
    k = min(k, int(kinked.sum()))
    found = boundary_distances(region, threat, k=k, within=GAMMA[norm])
    z = torch.cat(list(region.z), dim=1).abs()
    length = whole_norms(region, threat.q)
    distances = torch.where(length > 0, z / torch.where(length > 0, length, 1.0), torch.inf)
    expected = distances.topk(k, dim=1, largest=False).values
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)
    ours, theirs = (
        torch.autograd.grad(
            (1 - d / GAMMA[norm]).relu().sum(),
            list(net.parameters()),
            allow_unused=True,
            retain_graph=True,
        )
        for d in (found, expected)
    )
    assert any(g is not None and bool(g.any()) for g in theirs)
    for one, other in zip(ours, theirs, strict=True):
        zero = torch.zeros(())
        one, other = (zero if g is None else g for g in (one, other))
        assert torch.allclose(one, other.expand_as(one), rtol=1e-12, atol=1e-12)


def test_colours_are_few_where_units_see_little() -> None:
    layers = read_layers(build("cnn_pool", (1, 28, 28), 10), (1, 28, 28))
    assert compression_of(layers[:8], 784).colours == [9, 12, 16, 16, 64, 80, 100, 100]
    layers = read_layers(build("resnet", (1, 28, 28), 10), (1, 28, 28))
    assert compression_of(layers[:5], 784).colours == [9, 49, 225, 529, 784]
