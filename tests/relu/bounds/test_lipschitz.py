"""Operator norms and Lipschitz constants: never too small, and hardly too large."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from relu.bounds.lipschitz import margin_constants, operator_norm
from relu.network.activation import logits_of
from relu.network.architectures import build
from relu.network.layers import Dense, Layer, Shape
from relu.network.reader import read_layers
from relu.threat import Norm
from tests.relu.bounds.test_maxima import POOLS, network

ARCHS = ["fc_small", "cnn_small", "cnn_leaky", "cnn_pool", "resnet"]
SHAPE: Shape = (1, 8, 8)


def layers_of(arch: str) -> tuple[Layer, ...]:
    torch.manual_seed(0)
    return read_layers(build(arch, SHAPE, 10).double(), SHAPE)


def matrix(layer: Layer) -> Tensor:
    return layer.rows(torch.arange(layer.size)).detach()


TRUE = {
    "linf": lambda w: w.abs().sum(1).amax(),
    "l2": lambda w: torch.linalg.svdvals(w)[0],
    "l1": lambda w: w.abs().sum(0).amax(),
}


@pytest.mark.parametrize("norm", TRUE)
@pytest.mark.parametrize("arch", ARCHS)
def test_operator_norms_are_bounded_from_above_and_closely(arch: str, norm: Norm) -> None:
    with torch.no_grad():
        for layer in layers_of(arch):
            found = operator_norm(layer, norm, squarings=8)
            true = float(TRUE[norm](matrix(layer)))
            assert true * (1 - 1e-13) <= found <= true * 1.02


def test_each_squaring_brings_a_spectral_norm_nearer() -> None:
    torch.manual_seed(1)
    layer = Dense(torch.randn(30, 50).double(), torch.zeros(30).double())
    true = float(torch.linalg.svdvals(layer.weight)[0])
    found = [operator_norm(layer, "l2", squarings=squarings) for squarings in range(12)]
    excess = [value / true - 1 for value in found]
    assert all(later <= earlier for earlier, later in itertools.pairwise(excess))
    assert 0 <= excess[-1] < 1e-3


@pytest.mark.parametrize("scale", [1e-200, 1e-150, 1e-8, 1e150, 1e200])
@pytest.mark.parametrize("rank", [1, 2, 5])
def test_norms_of_any_size_are_bounded(scale: float, rank: int) -> None:
    """Of rank 1 there is nothing to spare: the length is the norm."""
    torch.manual_seed(rank)
    weight = torch.randn(7, rank).double() @ torch.randn(rank, 5).double()
    layer = Dense(weight * scale, torch.zeros(7).double())
    found = operator_norm(layer, "l2", squarings=6)
    true = float(torch.linalg.svdvals(weight)[0]) * scale
    assert true * (1 - 1e-14) <= found <= true * 1.02


def test_zeros_and_infinities_do_no_harm() -> None:
    nothing = Dense(torch.zeros(3, 4).double(), torch.ones(3).double())
    assert 0 <= operator_norm(nothing, "l2", squarings=3) < 1e-100
    huge = Dense(torch.full((3, 4), 1e308, dtype=torch.float64), torch.ones(3).double())
    assert operator_norm(huge, "l2", squarings=3) == torch.inf


@pytest.mark.parametrize("norm", TRUE)
@pytest.mark.parametrize("pool", POOLS)
def test_margins_never_move_faster(pool: str, norm: Norm) -> None:
    layers = network(pool, seed=3)
    y = torch.tensor([2, 0, 1])
    constants = margin_constants(layers, y, norm, squarings=8)
    places = [[0, 1], [1, 2], [0, 2]]
    p = {"linf": torch.inf, "l2": 2, "l1": 1}[norm]
    x = torch.rand(200, 64).double()
    step = torch.randn(200, 64).double() * 10.0 ** torch.randint(-4, 1, (200, 1)).double()
    change = logits_of(layers, x + step) - logits_of(layers, x)
    lengths = torch.linalg.vector_norm(step, ord=p, dim=1, keepdim=True)
    for i, label in enumerate(y.tolist()):
        moved = change[:, [label]] - change[:, places[i]]
        assert bool((moved.abs() <= constants[i] * lengths + 1e-12).all())


def test_a_linear_network_is_bounded_exactly() -> None:
    """Nothing but the last layer: the radius is the distance to the hyperplane."""
    net = nn.Linear(3, 2).double()
    nn.init.constant_(net.weight, 1.0)
    with torch.no_grad():
        net.weight[1] = torch.tensor([1.0, 4.0, 5.0])
    layers = read_layers(nn.Sequential(nn.Flatten(), net), (1, 1, 3))
    expectations: dict[Norm, float] = {"linf": 7.0, "l2": 5.0, "l1": 4.0}
    for norm, expected in expectations.items():
        found = margin_constants(layers, torch.tensor([0]), norm, squarings=2)
        torch.testing.assert_close(found, torch.tensor([[expected]]).double(), rtol=1e-9, atol=0)


def test_l2_says_more_of_linf_than_row_sums_where_a_layer_turns() -> None:
    """An orthogonal layer keeps lengths in l2; its row sums are 2."""
    rows = [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]
    first = Dense(torch.tensor(rows).double() / 2, torch.zeros(4).double())
    last = Dense(torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]]).double(), torch.zeros(2).double())
    found = float(margin_constants([first, last], torch.tensor([0]), "linf", squarings=10))
    moved = 2.0  # without ReLUs, by (1, ., 1, .)
    assert moved <= found <= 2 * 2**0.5 * (1 + 1e-2)  # row sums give 4


@pytest.mark.parametrize("norm", TRUE)
def test_what_underflows_on_the_way_is_not_nothing(norm: Norm) -> None:
    """Tiny layers, then large ones: f moves by 1 in all, and no product on the way may be lost."""

    def scaled(factor: float) -> Dense:
        one = torch.full((1, 1), factor, dtype=torch.float64)
        return Dense(one, torch.zeros(1, dtype=torch.float64))

    weight = torch.tensor([[1e-200], [0.0]], dtype=torch.float64)
    last = Dense(weight, torch.zeros(2, dtype=torch.float64))
    layers = [*map(scaled, (1e-150, 1e-150, 1e250, 1e250)), last]
    found = margin_constants(layers, torch.tensor([0]), norm, squarings=2)
    assert float(found) >= 1.0
