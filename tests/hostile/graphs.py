"""Small networks with every kind of layer and connection, each from a seed, and the truth."""

import math
import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from bench.parsing import NORMS
from relu.network.activation import switching
from relu.network.layers import Layer, matrix, to_vectors
from relu.network.reader import in_float64, read_layers
from relu.threat import Norm, Threat
from tests.hostile import rational
from tests.hostile.nets import BOXES, INPUTS, Case, drawn_eps
from tests.hostile.radius import exact_radius
from tests.hostile.rational import Affine, Shape

SHAPES: Sequence[Shape] = ((1, 1, 2), (1, 2, 2), (2, 1, 2), (1, 1, 3), (3, 1, 1), (1, 2, 1))
LEAKS = (0.125, 0.5, 0.75)  # whose products with weights are exact
KINKS = 11  # units that may switch, at most: cells are many


class Sum(nn.Module):
    """A residual connection: after(body(x) + shortcut(x))."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.after = after

    def forward(self, x: Any) -> Any:
        return self.after(self.body(x) + self.shortcut(x))


class Concatenation(nn.Module):
    """A dense connection: x beside body(x)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Any) -> Any:
        return torch.cat([self.body(x), x], dim=1)


class Normalisation(nn.Module):
    """(x - mean) / std, channel by channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, x: Any) -> Any:
        return (x - self.mean) / self.std


def graph_net(seed: int) -> tuple[nn.Sequential, Shape]:
    """A network of the seed, in float32, and the shape of its inputs."""
    draw = random.Random(seed)
    while True:
        shape = draw.choice(SHAPES)
        modules = _modules(draw, shape)
        net = nn.Sequential(*modules).requires_grad_(False).eval()
        _fill(draw, net)
        layers = read_layers(in_float64(net), shape)
        if 1 <= _kinks(layers) <= KINKS:
            return net, shape


def graph_case(seed: int) -> Case:
    """The case of a seed: a network, inputs, and their exact radii."""
    net, shape = graph_net(seed)
    draw = random.Random(-1 - seed)
    norm: Norm = draw.choice(sorted(NORMS))
    box = draw.choice(BOXES)
    low = max(box[0], 0.0)
    high = min(box[1], 1.0)
    pixels = [
        [draw.choice([low, high, draw.random(), draw.random()]) for _ in range(math.prod(shape))]
        for _ in range(INPUTS)
    ]
    x = torch.tensor(pixels).view(INPUTS, *shape)
    layers = as_relus(read_layers(in_float64(net), shape), shape)
    points = rational.points(x)
    logits = [rational.logits(layers, point) for point in points]
    labels = [values.index(max(values)) for values in logits]
    every = list(zip(points, labels, strict=True))
    radii = [exact_radius(layers, z, y, norm, box) for z, y in every]
    return Case(
        seed=seed,
        net=net,
        shape=shape,
        x=x,
        y=torch.tensor(labels),
        threat=Threat(norm=norm, eps=drawn_eps(draw, norm, box, radii[0]), box=box),
        layers=layers,
        margins=[rational.margin(layers, z, y) for z, y in every],
        radii=radii,
    )


def as_relus(layers: Sequence[Layer], shape: Shape) -> list[Affine]:
    """The layers as matrices with ReLUs alone, exactly: leak a is relu(z) - a relu(-z)."""
    numbers = torch.arange(math.prod(shape), dtype=torch.float64).view(1, *shape)
    places = to_vectors(layers, numbers)[0].long().tolist()
    plus = dict(enumerate(places))
    minus: dict[int, tuple[int, float]] = {}
    affine = []
    for i, layer in enumerate(layers):
        weight = matrix(layer)
        bias = layer.forward(weight.new_zeros(1, weight.shape[1]))[0]
        leak = torch.zeros_like(bias) if layer.leak is None else layer.leak
        rows = [_row(row, plus, minus) for row in weight.tolist()]
        biases = bias.tolist()
        plus = {j: j for j in range(len(rows))}
        minus = {}
        for j, slope in enumerate(leak.tolist() if i < len(layers) - 1 else ()):
            if slope:
                minus[j] = (len(rows), slope)
                rows.append([(place, -value) for place, value in rows[j]])
                biases.append(-biases[j])
        affine.append(_whole(rows, biases))
    return affine


def _row(
    row: Sequence[float], plus: dict[int, int], minus: dict[int, tuple[int, float]]
) -> list[tuple[int, float]]:
    terms = [(plus[j], value) for j, value in enumerate(row) if value]
    return terms + [
        (minus[j][0], -minus[j][1] * value) for j, value in enumerate(row) if value and j in minus
    ]


def _whole(rows: Sequence[Sequence[tuple[int, float]]], biases: Sequence[float]) -> Affine:
    values, shift = rational.whole([*biases, *(value for row in rows for _, value in row)])
    numbers = iter(values[len(biases) :])
    whole_rows = tuple(tuple((place, next(numbers)) for place, _ in row) for row in rows)
    return Affine(rows=whole_rows, bias=tuple(values[: len(biases)]), shift=shift)


def _kinks(layers: Sequence[Layer]) -> int:
    kinked = [switching(layer) for layer in layers[:-1]]
    return sum(
        layer.size if some is None else int(some.sum())
        for layer, some in zip(layers, kinked, strict=False)
    )


def _modules(draw: random.Random, shape: Shape) -> list[nn.Module]:
    modules: list[nn.Module] = []
    channels, height, width = shape
    if draw.random() < 0.3:
        modules.append(
            Normalisation(
                [draw.randint(0, 4) / 8 for _ in range(channels)],
                [draw.choice([0.25, 0.3, 0.5]) for _ in range(channels)],
            )
        )
    if draw.random() < 0.8:
        more, channels = _convolution(draw, channels, height, width)
        modules += more
        if draw.random() < 0.7:
            modules.append(_activation(draw))
        modules += _pooling(draw, modules, shape)
        modules += _connected(draw, channels)
    modules.append(nn.Flatten())
    d = nn.Sequential(*modules).eval()(torch.zeros(1, *shape)).shape[1]
    hidden = draw.choice([0, 2, 2, 3])
    if hidden:
        modules += [nn.Linear(d, hidden)]
        modules += [nn.BatchNorm1d(hidden)] if draw.random() < 0.2 else []
        modules += [_activation(draw)]
        if draw.random() < 0.3:
            body = nn.Sequential(nn.Linear(hidden, 2), nn.ReLU(), nn.Linear(2, hidden))
            modules.append(Sum(body, nn.Identity(), draw.choice([nn.ReLU(), nn.Identity()])))
        d = hidden
    return [*modules, nn.Linear(d, draw.choice([2, 2, 3]))]


def _convolution(
    draw: random.Random, channels: int, height: int, width: int
) -> tuple[list[nn.Module], int]:
    grouped = channels > 1 and draw.random() < 0.4
    out = channels if grouped else draw.choice([1, 2])
    kernel = (min(2, height), min(2, width))
    dilation = (1, draw.choice([1, 2]) if width > 2 else 1)
    strides: list[int | tuple[int, int]] = [1, 1, 2, (1, 2)]
    paddings: list[int | tuple[int, int]] = [0, 1, (0, 1)]
    convolution = nn.Conv2d(
        channels,
        out,
        kernel,
        stride=draw.choice(strides),
        padding=draw.choice(paddings),
        dilation=dilation,
        groups=channels if grouped else 1,
        bias=draw.random() < 0.8,
    )
    norm = [nn.BatchNorm2d(out)] if draw.random() < 0.3 else []
    return [convolution, *norm], out


def _pooling(draw: random.Random, modules: list[nn.Module], shape: Shape) -> list[nn.Module]:
    """A pooling that fits what the modules give, or none."""
    side = nn.Sequential(*modules).eval()(torch.zeros(1, *shape)).shape[2:]
    kernel = tuple(min(2, length) for length in side)
    kind = draw.random()
    if kind < 0.45:
        padding = tuple(min(draw.choice([0, 1]), length // 2) for length in kernel)
        return [nn.MaxPool2d(kernel, stride=draw.choice([1, 2]), padding=padding)]
    if kind < 0.55:
        return [nn.AvgPool2d(kernel, stride=draw.choice([1, 2]))]
    return [nn.AdaptiveAvgPool2d(1)] if kind < 0.65 else []


def _connected(draw: random.Random, channels: int) -> list[nn.Module]:
    kind = draw.random()
    if kind < 0.25:
        body = nn.Sequential(
            nn.Conv2d(channels, 1, 1), _activation(draw), nn.Conv2d(1, channels, 1)
        )
        return [Sum(body, nn.Identity(), draw.choice([nn.ReLU(), nn.Identity()]))]
    if kind < 0.4:
        body = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, 1, 1))
        return [Sum(body, nn.Conv2d(channels, 1, 1), _activation(draw))]
    if kind < 0.55:
        return [Concatenation(nn.Sequential(nn.Conv2d(channels, 1, 1), nn.ReLU()))]
    return []


def _activation(draw: random.Random) -> nn.Module:
    kind = draw.random()
    if kind < 0.6:
        return nn.ReLU()
    return nn.ReLU6() if kind < 0.7 else nn.LeakyReLU(draw.choice(LEAKS))


def _fill(draw: random.Random, net: nn.Module) -> None:
    """Weights of a few bits, so that what is read of them is exact; statistics that are not 0."""
    for value in net.parameters():
        entries = [draw.randint(-8, 8) / 8 for _ in range(value.numel())]
        value.copy_(torch.tensor(entries).view(value.shape))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            mean = module.running_mean
            variance = module.running_var
            assert mean is not None and variance is not None
            mean.copy_(torch.tensor([draw.randint(-4, 4) / 8 for _ in mean]))
            variance.copy_(torch.tensor([draw.randint(1, 8) / 4 for _ in variance]))
