"""Networks that are no chains, read by their graph: equal to torch's, maps with transposes."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from relu.attacks.rational import exact_margins
from relu.classes import margins
from relu.errors import InputError
from relu.network.activation import activated, logits_of
from relu.network.layers import Conv, Dense, largest_row, matrix, to_images, to_vectors
from relu.network.reader import in_float64, read_layers
from relu.network.value import JOINED
from relu.rounding import gamma
from tests.hostile.graphs import Concatenation, Normalisation, Sum, graph_net

SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_layers_are_the_network_and_transposes_theirs(seed: int) -> None:
    torch.manual_seed(seed)
    net, shape = graph_net(seed)
    exact_net = in_float64(net)
    layers = read_layers(exact_net, shape)
    x = torch.rand(3, *shape, dtype=torch.float64)
    g = to_vectors(layers, x)
    assert torch.equal(to_images(layers, g, shape), x)
    for i, layer in enumerate(layers):
        z = layer.forward(g)
        moves = torch.randn_like(g)
        rows = torch.randn_like(z)
        products = (layer.linear(moves) * rows).sum(1), (moves * layer.transposed(rows)).sum(1)
        assert torch.allclose(*products)
        size = layer.absolute().forward(g.abs())
        assert bool((size + 1e-12 >= z.abs()).all())
        assert float(largest_row(layer)) + 1e-12 >= float(matrix(layer).abs().sum(1).max())
        g = activated(layer, z) if i < len(layers) - 1 else z
    assert torch.allclose(g, exact_net(x), rtol=1e-12, atol=1e-12)
    y = g.argmax(1)
    exact = exact_margins(layers, to_vectors(layers, x), y)
    expected = margins(g, y)
    assert torch.allclose(torch.tensor([float(m) for m in exact]).to(expected), expected)


def test_a_chain_of_modules_of_ones_own_is_the_chain() -> None:
    """Nothing is lost on layers that see windows where a graph is read."""
    body = nn.Sequential(nn.Conv2d(1, 4, 4, stride=2, padding=1), nn.ReLU(), nn.Flatten())

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body
            self.head = nn.Linear(64, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.body(x))
            return logits

    own = Own().double()
    layers = read_layers(own, (1, 8, 8))
    chain = read_layers(nn.Sequential(body, own.head), (1, 8, 8))
    assert [type(layer) for layer in layers] == [Conv, Dense]
    for a, b in zip(layers, chain, strict=True):
        assert torch.equal(matrix(a), matrix(b))


def test_batch_norm_joins_the_layer_before_and_is_a_map_of_its_own_before_padding() -> None:
    norm = nn.BatchNorm2d(2)
    before = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), norm, nn.ReLU(), nn.Flatten())
    after = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten())
    for net, sizes in ((before, [32, 2]), (after, [16, 32, 2])):
        whole = nn.Sequential(net, nn.Linear(32, 2)).eval()
        assert [layer.size for layer in read_layers(whole, (1, 4, 4))] == sizes


def test_a_relu_before_a_pooling_comes_after_it() -> None:
    """Max and ReLU commute: a window of four has three comparisons and one ReLU."""
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    layers = read_layers(nn.Sequential(net, nn.Linear(1, 2)), (1, 2, 2))
    kinks = [
        layer.size if k is None else int((k != 1).sum())
        for layer in layers[:-1]
        for k in [layer.leak]
    ]
    assert kinks == [0, 2, 1, 1]


def test_gradients_reach_the_parameters() -> None:
    net = nn.Sequential(
        Normalisation([0.5], [0.25]),
        nn.Conv2d(1, 2, 3, padding=1),
        nn.MaxPool2d(2),
        Sum(nn.Conv2d(2, 2, 1), nn.Identity(), nn.LeakyReLU(0.1)),
        Concatenation(nn.Conv2d(2, 1, 1)),
        nn.Flatten(),
        nn.Linear(12, 2),
    )
    layers = read_layers(net, (1, 4, 4))
    x = torch.rand(2, 1, 4, 4)
    g = to_vectors(layers, x)
    for layer in layers[:-1]:
        g = activated(layer, layer.forward(g))
    layers[-1].forward(g).square().sum().backward()
    ours = [p.grad for p in net.parameters()]
    net.zero_grad()
    net(x).square().sum().backward()
    for a, b in zip(ours, [p.grad for p in net.parameters()], strict=True):
        assert a is not None and b is not None
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)


class Overwriting(nn.Module):
    """A ReLU that writes over its input, which is used again."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.first = nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        z = self.first(x)
        return self.relu(z) - 2 * z


class Aliasing(Overwriting):
    def forward(self, x: Any) -> Any:
        return self.relu(self.first(x).view(-1, 3)) - 1


class Positional(Overwriting):
    def forward(self, x: Any) -> Any:
        z = self.first(x)
        return F.relu(z, True) - z


@pytest.mark.parametrize("net", [Overwriting(), Aliasing(), Positional()])
def test_what_is_written_over_a_value_with_another_use_is_refused(net: nn.Module) -> None:
    with pytest.raises(InputError, match="writes over a value that has another name or use"):
        read_layers(net.double(), (3,))


def test_a_relu_in_place_of_what_nobody_else_sees_is_a_relu() -> None:
    net = nn.Sequential(
        Sum(nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True)), nn.Identity(), nn.Identity()),
        nn.Linear(3, 2),
    ).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    assert torch.allclose(logits_of(read_layers(net, (3,)), x), net(x.clone()))


class Odd(nn.Module):
    """Runs a function of its convolutions' output."""

    def __init__(self, tail: Any) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
        self.head = nn.Linear(18, 3)
        self.tail = tail

    def forward(self, x: Any) -> Any:
        return self.tail(self, self.body(x))


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (lambda net, z: z.flatten(1), "end in a layer of logits"),
        (lambda net, z: net.head(torch.add(z, z, alpha=2).flatten(1)), "alpha"),
        (lambda net, z: net.head(torch.div(z, 2, rounding_mode="floor").flatten(1)), "rounding"),
        (lambda net, z: net.head((z * z.size(0)).flatten(1)), "not supported"),
        (lambda net, z: net.head(z.view(8, -1)), "gives 8 inputs"),
        (lambda net, z: net.head(torch.relu(input=z).flatten(1)), "takes no input"),
    ],
)
def test_what_would_be_read_as_something_else_is_refused(tail: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_layers(Odd(tail).double(), (2, 3, 3))


def test_batch_norm_of_single_entries_after_a_convolution_is_theirs() -> None:
    norm = nn.BatchNorm1d(18)
    nn.init.uniform_(norm.weight)
    net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Flatten(), norm, nn.Linear(18, 2)).double().eval()
    x = torch.randn(4, 2, 3, 3, dtype=torch.float64)
    layers = read_layers(net, (2, 3, 3))
    assert torch.allclose(logits_of(layers, to_vectors(layers, x)), net(x))


def test_what_changes_between_two_readings_is_read_anew() -> None:
    class Changing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 2)
            self.factor = 2.0

        def forward(self, x: Any) -> Any:
            return self.linear(x) * self.factor if self.training else -self.linear(x)

    net = Changing().double()
    x = torch.randn(4, 3, dtype=torch.float64)
    for change in ({}, {"factor": 5.0}, {"training": False}):
        for name, value in change.items():
            setattr(net, name, value)
        assert torch.allclose(logits_of(read_layers(net, (3,)), x), net(x))
    net.register_forward_hook(lambda module, inputs, output: 2 * output)
    with pytest.raises(InputError, match="has hooks, or a forward of its own"):
        read_layers(net, (3,))


def test_code_that_cannot_be_traced_is_one_line() -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(InputError, match="the network cannot be traced"):
        read_layers(Branching(), (2,))


class Drifting(nn.Module):
    """Adds what float64 cannot see beside 2^30, many times, and takes 2^30 away behind a ReLU."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.first = nn.Linear(1, 1)
        self.last = nn.Linear(1, 2)

    def forward(self, x: Any) -> Any:
        z = self.first(x) + 2.0**30
        for _ in range(self.steps):
            z = z + 2.0**-24
        return self.last(torch.relu(z) - 2.0**30)


def test_constants_are_joined_only_as_far_as_bounds_of_rounding_reach() -> None:
    steps = 50
    net = Drifting(steps).double().eval().requires_grad_(False)
    nn.init.ones_(net.first.weight)
    nn.init.zeros_(net.first.bias)
    net.last.weight.copy_(torch.tensor([[1.0], [0.0]]))
    nn.init.zeros_(net.last.bias)
    layers = read_layers(net, (1,))
    logits = logits_of(layers, torch.zeros(1, 1).double())
    size = torch.ones(1, 1).double()
    for layer in layers:
        size = layer.absolute().forward(size)
    room = gamma(layers, 1) * size.max()
    assert (logits[0, 0] - steps * 2.0**-24).abs() <= room
    assert len(layers) > steps // JOINED


def test_constants_that_cancel_are_not_joined() -> None:
    first = nn.Sequential(nn.Linear(1, 2), Shifted(-(2.0**30)), nn.Linear(2, 2))
    net = first.double().eval().requires_grad_(False)
    nn.init.constant_(net[0].bias, 2.0**30)  # type: ignore[arg-type]
    assert len(read_layers(net, (1,))) == 3
    nn.init.constant_(net[0].bias, 1.0)  # type: ignore[arg-type]
    assert len(read_layers(net, (1,))) == 2


class Shifted(nn.Module):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Any) -> Any:
        return x + self.by
