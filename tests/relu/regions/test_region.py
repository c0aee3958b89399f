"""Regions against the network's Jacobians; norms and rows of single units; frozen regions."""

import pytest
import torch
from torch import nn

from bench.parsing import NORMS
from relu.classes import gaps, others
from relu.network.architectures import build
from relu.network.layers import Conv, Dense, to_images, to_vectors
from relu.network.reader import read_layers
from relu.norms import aligned, dual_length
from relu.regions.jacobian import norms, unit_rows
from relu.regions.region import affine_map, region_of, shortened
from relu.threat import Norm, Threat

CASES = [
    ("fc_small", (1, 8, 8)),
    ("cnn_small", (1, 8, 8)),
    ("cnn", (3, 9, 14)),
    ("fc10", (1, 5, 5)),
]


def network(arch: str, shape: tuple[int, ...]) -> nn.Sequential:
    torch.manual_seed(1)
    net = build(arch, shape, 5).double().requires_grad_(False)
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            parameter.copy_(torch.randn_like(parameter) / 10)
    return net


def deep_conv() -> nn.Sequential:
    """Three convolutions, the last one next to the logits; strides that do not divide kernels."""
    torch.manual_seed(2)
    return (
        nn.Sequential(
            nn.Conv2d(2, 12, 3, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(12, 14, 4, stride=1),
            nn.ReLU(),
            nn.Conv2d(14, 6, 2, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(54, 4),
        )
        .double()
        .requires_grad_(False)
    )


def jacobian(net: nn.Sequential, layer: int, x: torch.Tensor) -> torch.Tensor:
    """Rows of V of the layer-th ReLU's inputs at one image."""
    index = [i for i, module in enumerate(net) if isinstance(module, nn.ReLU)][layer]
    rows = torch.func.jacrev(lambda z: net[:index](z.unsqueeze(0))[0])(x)
    return rows.reshape(-1, *x.shape)


NETS = [(network(arch, shape), shape) for arch, shape in CASES] + [(deep_conv(), (2, 13, 12))]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("net", "shape"), NETS)
def test_norms_and_rows_are_the_jacobians(
    net: nn.Sequential, shape: tuple[int, ...], norm: Norm
) -> None:
    q = Threat(norm=norm, eps=1.0).q
    x = torch.rand(3, *shape, dtype=torch.float64)
    layers = read_layers(net, shape)
    region = region_of(layers, to_vectors(layers, x))
    found = norms(region, q)
    starts = region.starts
    for i in range(len(layers) - 1):
        for n in range(3):
            rows = to_vectors(layers, jacobian(net, i, x[n]))
            layer = layers[i]
            if isinstance(layer, Conv):  # whose units are numbered with the channel last
                order = torch.arange(layer.size).view(layer.out_shape).permute(1, 2, 0)
                rows = rows[order.flatten()]
            expected = torch.linalg.vector_norm(rows, ord=q, dim=1)
            assert torch.allclose(found[n, starts[i] : starts[i + 1]], expected, rtol=1e-10)
            units = torch.randint(starts[i], starts[i + 1], (7,))
            some = unit_rows(region.at(torch.full((7,), n)), units)
            assert torch.allclose(some, rows[units - starts[i]], atol=1e-12)


@pytest.mark.parametrize(("net", "shape"), NETS)
def test_a_region_is_the_network_nearby_and_can_be_evaluated_elsewhere(
    net: nn.Sequential, shape: tuple[int, ...]
) -> None:
    x = torch.rand(2, *shape, dtype=torch.float64)
    layers = read_layers(net, shape)
    vectors = to_vectors(layers, x)
    region = region_of(layers, vectors)
    assert torch.allclose(region.logits, net(x))
    again = affine_map(layers, vectors, region.slopes)
    assert torch.allclose(again.logits, region.logits)
    near = vectors + 1e-9 * torch.rand_like(vectors)
    moved = affine_map(layers, near, region.slopes)
    assert torch.allclose(moved.logits, net(to_images(layers, near, shape)), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("norm", NORMS)
def test_a_unit_that_sees_nothing_but_padding_has_no_norm(norm: Norm) -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 1),
        nn.ReLU(),
        nn.Conv2d(2, 1, 1, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 3),
    ).requires_grad_(False)
    layers = read_layers(net, (1, 2, 2))
    found = norms(region_of(layers, torch.rand(2, 4)), Threat(norm=norm, eps=1.0).q)
    assert (found[:, 8:].view(2, 4, 4)[:, 0] == 0).all()


def test_gaps_are_to_all_other_classes_in_order() -> None:
    net = network("fc_small", (1, 8, 8))
    x = torch.rand(3, 1, 8, 8, dtype=torch.float64)
    y = torch.tensor([0, 2, 4])
    assert others(y, 5).tolist() == [[1, 2, 3, 4], [0, 1, 3, 4], [0, 1, 2, 3]]
    layers = read_layers(net, (1, 8, 8))
    found = gaps(region_of(layers, to_vectors(layers, x)).logits, y)
    assert torch.allclose(found[1, 2], net(x)[1, 2] - net(x)[1, 3])


def test_parts_and_wholes_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    net, shape = NETS[2]
    x = torch.rand(5, *shape, dtype=torch.float64)
    layers = read_layers(net, shape)
    region = region_of(layers, to_vectors(layers, x))
    whole = norms(region, 1.0)
    monkeypatch.setattr("relu.batching.PART", 1)
    assert torch.allclose(norms(region, 1.0), whole, rtol=1e-13)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("rank", [1, 32])
def test_shortened_rows_have_the_same_norms(norm: Norm, rank: int) -> None:
    layers = read_layers(network("fc_small", (1, 12, 12)), (1, 12, 12))
    q = Threat(norm=norm, eps=1.0).q
    first = layers[0]
    assert isinstance(first, Dense)
    first.weight[rank:] = first.weight[:1]
    region = region_of(layers, torch.rand(4, 144, dtype=torch.float64))
    short = shortened(region, q)
    assert short.x.shape[1] == (32 if norm == "l2" else 144)
    assert torch.allclose(norms(short, q), norms(region, q), rtol=1e-12)
    assert torch.allclose(layers[0].forward(region.x), short.layers[0].forward(short.x))


@pytest.mark.parametrize("norm", NORMS)
def test_the_steepest_vector_attains_the_dual_norm(norm: Norm) -> None:
    threat = Threat(norm=norm, eps=1.0)
    v = torch.randn(6, 9, dtype=torch.float64)
    s = aligned(v, threat.q)
    assert torch.allclose(threat.length(s), torch.ones(6).double())
    assert torch.allclose((s * v).sum(1), dual_length(v, threat.q))


@pytest.mark.parametrize("q", [1.0, 2.0, torch.inf])
@pytest.mark.parametrize("scale", [1.0, 1e-120, 1e-160, 1e-250])
def test_lengths_of_small_rows_do_not_underflow(q: float, scale: float) -> None:
    rows = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows[1] = 0.0
    expected = dual_length(rows, q) * scale
    assert torch.allclose(dual_length(rows * scale, q), expected, rtol=1e-12, atol=0.0)
    assert dual_length(rows[:, :0], q).tolist() == [0.0] * 4
