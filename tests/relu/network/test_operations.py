"""Operations that move, pad, clip and pool, each beside torch's own, in float64."""

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from relu.attacks.rational import exact_margins
from relu.classes import margins
from relu.errors import InputError
from relu.network.activation import logits_of
from relu.network.layers import to_images, to_vectors
from relu.network.reader import read_layers

SHAPE = (2, 5, 4)


class Around(nn.Module):
    """A function between two convolutions and a head of logits."""

    def __init__(self, function: Callable[[Any], Any], shape: tuple[int, ...] = SHAPE) -> None:
        super().__init__()
        self.body = nn.Conv2d(2, 3, 1) if shape == SHAPE else nn.Identity()
        self.function = function
        self.register_buffer("constant", torch.randn(3, 1, 1))
        with torch.no_grad():
            size = self.function(self.body(torch.zeros(2, *shape))).flatten(1).shape[1]
        self.head = nn.Linear(size, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.function(self.body(x)).flatten(1))


def assert_read(net: nn.Module, shape: tuple[int, ...]) -> None:
    """The layers give the network's logits, and each has its own transpose and absolute values."""
    net = net.double().eval()
    layers = read_layers(net, shape)
    inputs = math.prod(shape)
    for layer in layers:
        g = torch.randn(2, inputs, dtype=torch.float64)
        z = layer.forward(g)
        rows = torch.randn_like(z)
        products = (layer.linear(g) * rows).sum(1), (g * layer.transposed(rows)).sum(1)
        assert torch.allclose(*products)
        assert bool((layer.absolute().forward(g.abs()) + 1e-12 >= z.abs()).all())
        inputs = layer.size
    for scale in (0.1, 1.0, 10.0):
        x = scale * torch.randn(8, *shape, dtype=torch.float64)
        logits = logits_of(layers, to_vectors(layers, x))
        assert torch.allclose(logits, net(x), rtol=1e-11, atol=1e-11)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "clamp": lambda z: torch.clamp(z, -0.5, 0.75),
    "clamp_from_zero": lambda z: torch.clamp(z, 0.0, 1.0),
    "clamp_low": lambda z: z.clamp(min=-0.25),
    "clamp_high": lambda z: torch.clamp(z, max=0.25),
    "permute": lambda z: torch.permute(z, (0, 2, 3, 1)),
    "permute_relu": lambda z: torch.relu(z.permute(0, 3, 1, 2)),
    "permute_back": lambda z: torch.relu(z.permute(0, 3, 1, 2)).permute(0, 2, 3, 1),
    "transpose": lambda z: z.transpose(1, -1),
    "transpose_add": lambda z: z.transpose(2, 3) + torch.relu(z).transpose(2, 3),
    "orders_add": lambda z: (
        z.reshape(-1, 4, 3, 5) + torch.relu(z).transpose(1, 3).reshape(-1, 4, 3, 5)
    ),
    "unsqueeze": lambda z: torch.relu(torch.unsqueeze(z, 1)),
    "squeeze": lambda z: torch.squeeze(torch.unsqueeze(z, -1), -1),
    "reshape": lambda z: torch.relu(z.reshape(-1, 6, 10)),
    "reshape_unknown": lambda z: torch.relu(torch.reshape(z, (z.size(0), 5, -1))),
    "reshape_pool": lambda z: F.max_pool2d(torch.reshape(z, (-1, 4, 3, 5)), 2),
    "transpose_pool": lambda z: F.max_pool2d(torch.relu(z.transpose(1, 2)), 2),
    "cat_rows": lambda z: torch.cat([z, torch.relu(z)], dim=2),
    "cat_columns": lambda z: torch.cat([torch.relu(z), z, z], dim=-1),
    "cat_vectors": lambda z: torch.cat([z.flatten(1), torch.relu(z).flatten(1)], dim=1),
    "cat_transposed": lambda z: torch.cat([z.transpose(2, 3), torch.relu(z.transpose(2, 3))], 1),
    "pad": lambda z: torch.relu(F.pad(z, (1, 0, 2, 1))),
    "pad_channels": lambda z: F.pad(z, (0, 1, 0, 0, 1, 2)),
    "pad_transposed": lambda z: F.pad(z.transpose(1, 3), (1, 2)),
    "pad_pool": lambda z: F.max_pool2d(F.pad(z, (1, 0, 0, 1), value=-math.inf), 2),
    "pad_pool_up": lambda z: F.max_pool2d(
        F.pad(z, (1, 0, 1, 0), value=-math.inf), 3, 2, padding=1, ceil_mode=True
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operations_are_torchs(name: str) -> None:
    net = Around(FUNCTIONS[name])
    assert_read(net, SHAPE)
    x = torch.randn(1, *SHAPE, dtype=torch.float64)
    layers = read_layers(net.double().requires_grad_(False), SHAPE)
    logits = net(x)
    (exact,) = exact_margins(layers, to_vectors(layers, x), logits.argmax(1))
    (expected,) = margins(logits, logits.argmax(1))
    assert math.isclose(float(exact), float(expected), abs_tol=1e-12)


@pytest.mark.parametrize(
    ("pool", "kernel", "stride", "padding"),
    list(product(["max", "average", "inner"], [(2, 2), (3, 2), (4, 3)], [1, 2, 3], [0, 1])),
)
def test_poolings_that_round_up_are_torchs(
    pool: str, kernel: tuple[int, int], stride: int, padding: int
) -> None:
    if pool == "max":
        module: nn.Module = nn.MaxPool2d(kernel, stride, padding, ceil_mode=True)
    else:
        inner = pool == "average"
        module = nn.AvgPool2d(kernel, stride, padding, ceil_mode=True, count_include_pad=inner)
    assert_read(Around(module), SHAPE)
    if pool == "inner":
        module = nn.AvgPool2d(kernel, stride, padding, count_include_pad=False)
        assert_read(Around(module), SHAPE)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("kernel", [(2, 2), (4, 3), (3, 2)])
def test_kernels_of_even_sides_may_keep_the_size(kernel: tuple[int, int]) -> None:
    same = nn.Conv2d(2, 3, kernel, padding="same")
    assert_read(nn.Sequential(same, nn.ReLU(), nn.Flatten(), nn.Linear(60, 2)), SHAPE)


def test_constants_for_channels_are_told_from_constants_for_pixels_as_channels() -> None:
    """A map of one channel before a shape of many: its weights have one row alone."""

    class Pixels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(2, 1, 1)
            self.factors = nn.Parameter(torch.randn(20, 1, 1))
            self.head = nn.Linear(20, 2)

        def forward(self, x: Any) -> Any:
            z = torch.reshape(self.body(x), (-1, 20, 1, 1))
            return self.head(torch.relu(z * self.factors).flatten(1))

    assert_read(Pixels(), SHAPE)


def test_what_the_logits_do_not_need_is_left_out() -> None:
    """Units that nothing takes, beside the logits and behind them."""

    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 3)
            self.second = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            logits = self.first(x)
            self.second(torch.relu(self.second(torch.relu(logits))))
            return logits

    assert_read(Idle(), (4,))
    assert [layer.size for layer in read_layers(Idle(), (4,))] == [3]


class Seen(nn.Module):
    """A convolution of inputs of another shape than it takes."""

    def __init__(self, seen: Callable[[Any], Any], size: int) -> None:
        super().__init__()
        self.seen = seen
        self.conv = nn.Conv2d(2, 1, 1)
        self.head = nn.Linear(size // 2, 2)

    def forward(self, x: Any) -> Any:
        return self.head(torch.relu(self.conv(self.seen(x))).flatten(1))


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((2,), lambda x: x.view(-1, 2, 1, 1)),
        ((12,), lambda x: x.view(-1, 2, 3, 2)),
        ((6, 2), lambda x: x.transpose(1, 2).reshape(-1, 2, 6, 1)),
        ((2, 6, 1), lambda x: x.view(-1, 2, 3, 2)),
        ((3, 2, 2), lambda x: x.permute(0, 3, 1, 2)),
    ],
)
def test_inputs_keep_their_shape_where_a_convolution_sees_another(
    shape: tuple[int, ...], seen: Callable[[Any], Any]
) -> None:
    net = Seen(seen, math.prod(shape))
    assert_read(net, shape)
    layers = read_layers(net, shape)
    x = torch.randn(2, *shape, dtype=torch.float64)
    assert torch.equal(to_images(layers, to_vectors(layers, x), shape), x)


@pytest.mark.parametrize("shape", [(7,), (7, 1), (1, 7), (3, 2), (1, 2, 2, 3)])
def test_inputs_may_have_any_number_of_axes(shape: tuple[int, ...]) -> None:
    assert_read(Around(nn.Flatten(), shape), shape)
    assert_read(Around(torch.relu, shape), shape)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda z: torch.permute(z, (1, 0, 2, 3)), "moves the axis of the inputs"),
        (lambda z: torch.transpose(z, 0, 1), "changes the axis of the inputs"),
        (lambda z: torch.unsqueeze(z, 0), "changes the axis of the inputs"),
        (lambda z: torch.squeeze(z), "must name the one axis"),
        (lambda z: torch.clamp(z, 1.0, 0.0), "expected finite numbers in order"),
        (lambda z: torch.clamp(z, max=math.inf), "expected finite numbers in order"),
        (lambda z: F.pad(z, (1, 1), value=1.0), "something else than zeros"),
        (lambda z: F.pad(z, (1, 1, 1, 1), mode="reflect"), "something else than zeros"),
        (lambda z: F.pad(z, (-1, 1)), "takes something away"),
        (lambda z: F.pad(z, (0, 0, 0, 0, 0, 0, 1, 0)), "pads the axis of the inputs"),
        (lambda z: F.pad(z, (1, 1, 1, 1), value=-math.inf), "which only a max-pooling may take"),
        (
            lambda z: F.max_pool2d(F.pad(z, (2, 0, 0, 0), value=-math.inf), 2),
            "see nothing but padding",
        ),
        (lambda z: torch.cat([z, z], dim=0), "joins shapes that do not fit, or inputs"),
        (lambda z: torch.reshape(z, (-1, 7)), "which is not supported"),
    ],
)
def test_what_would_mix_inputs_or_is_no_number_is_refused(
    function: Callable[[Any], Any], reason: str
) -> None:
    class Refused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(60, 2)

        def forward(self, x: Any) -> Any:
            return self.head(torch.relu(function(x)).flatten(1))

    with pytest.raises(InputError, match=reason):
        read_layers(Refused().double(), (3, 5, 4))
