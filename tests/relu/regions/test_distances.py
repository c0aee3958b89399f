"""Differentiable distances against dense Jacobians: values and gradients."""

import pytest
import torch
from torch import Tensor, nn

from bench.parsing import NORMS
from relu.network.architectures import build
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.regions.distances import boundary_distances, decision_distances
from relu.regions.region import Region, region_of, shortened
from relu.threat import Norm, Threat
from tests.oracles import dense_distances

CASES = [
    ("fc_small", (1, 8, 8)),
    ("fc_small", (1, 12, 12)),  # whose rows can be shortened for l2
    ("cnn_small", (1, 8, 8)),
    ("cnn", (2, 9, 11)),
    ("fc10", (1, 6, 6)),
]
GAMMA = {"linf": 0.05, "l2": 0.4, "l1": 1.5}


def network(arch: str, shape: tuple[int, ...]) -> nn.Sequential:
    torch.manual_seed(0)
    net = build(arch, shape, 10)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net


def region_at(net: nn.Sequential, x: Tensor) -> Region:
    layers = read_layers(net, tuple(x.shape[1:]))
    return region_of(layers, to_vectors(layers, x))


def kmmr(d_b: Tensor, d_d: Tensor, gamma: float) -> Tensor:
    return (1 - d_b / gamma).relu().mean() + (1 - d_d / gamma).relu().mean()


def values(region: Region) -> Tensor:
    """|f_i(x)| of all hidden units."""
    return torch.cat(list(region.z), dim=1).abs().detach()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("arch", "shape"), CASES)
def test_values_and_gradients_equal_the_dense_ones_in_float32(
    arch: str, shape: tuple[int, ...], norm: Norm
) -> None:
    net = network(arch, shape)
    threat = Threat(norm=norm, eps=0.1)
    gamma = GAMMA[norm]
    x = torch.rand(5, *shape)
    y = torch.arange(5)
    region = shortened(region_at(net, x), threat.q)
    d_b = boundary_distances(region, threat, k=20, within=gamma)
    d_d = decision_distances(region, y, threat, within=gamma)
    found = torch.autograd.grad(kmmr(d_b, d_d, gamma), list(net.parameters()))
    dense_b, dense_d = dense_distances(net.double(), x.double(), y, threat.q)
    # How float32's forward pass rounds differs from CPU to CPU and is no error of the distances.
    rounded = dense_b * values(region) / values(region_at(net, x.double()))
    assert torch.allclose(
        d_b.double(), rounded.topk(20, dim=1, largest=False).values, rtol=1e-5, atol=1e-6
    )
    assert torch.allclose(d_d.double(), dense_d, rtol=1e-5, atol=1e-6)
    nearest = dense_b.topk(20, dim=1, largest=False).values
    expected = torch.autograd.grad(kmmr(nearest, dense_d, gamma), list(net.parameters()))
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= 1e-5 * other.norm()


def test_a_linear_network_has_the_known_distances() -> None:
    # f(x) = (2 x1 - x2, 0): ||w||_1 = 3, ||w||_2 = sqrt(5), ||w||_inf = 2, and f(1, 1) = (1, 0)
    net = nn.Sequential(nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        net.get_parameter("0.weight").copy_(torch.tensor([[2.0, -1.0], [0.0, 0.0]]))
    region = region_at(net, torch.ones(1, 2))
    distances: dict[Norm, float] = {"linf": 1 / 3, "l2": 5**-0.5, "l1": 0.5}
    for norm, expected in distances.items():
        threat = Threat(norm=norm, eps=1.0)
        for label, sign in ((0, 1), (1, -1)):
            found = decision_distances(region, torch.tensor([label]), threat)
            assert found.item() == pytest.approx(sign * expected)


def test_a_unit_that_nothing_moves_is_infinitely_far_and_harmless() -> None:
    # unit 0 is constant, unit 1 is at distance |x1 - 1/2| = 1/4
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        net.get_parameter("0.weight").copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
        net.get_parameter("0.bias").copy_(torch.tensor([0.0, -0.5]))
    region = region_at(net, torch.tensor([[0.75, 0.0]]))
    found = boundary_distances(region, Threat(norm="l2", eps=1.0), k=2)
    assert found.tolist() == [[0.25, torch.inf]]
    (1 - found / 0.5).relu().mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_the_dead_layer_of_a_deep_network_is_harmless_too() -> None:
    net = network("fc10", (1, 6, 6))
    with torch.no_grad():
        net.get_parameter("5.bias").fill_(-100.0)  # all units of the third hidden layer are off
    x = torch.rand(3, 1, 6, 6)
    threat = Threat(norm="linf", eps=0.1)
    region = region_at(net, x)
    y = torch.zeros(3, dtype=torch.long)
    d_b = boundary_distances(region, threat, k=300)
    loss = kmmr(d_b, decision_distances(region, y, threat), 0.1)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
