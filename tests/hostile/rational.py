"""Networks in exact arithmetic: whole numbers and powers of two, written apart from the bench.

Every float is a whole number times a power of two, and so is everything that a network computes of
floats: nothing here is ever rounded. Lengths are kept as their power: squares for l2.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]
Box = tuple[float, float]


@dataclass(frozen=True)
class Affine:
    """z_i = 2^-shift (sum of weight * g_place over the entries of row i + bias_i)."""

    rows: tuple[tuple[tuple[int, int], ...], ...]
    bias: tuple[int, ...]
    shift: int


def whole(values: Sequence[float]) -> tuple[list[int], int]:
    """Floats as whole multiples of 2^-shift, and the shift."""
    ratios = [value.as_integer_ratio() for value in values]
    shift = max((bottom.bit_length() - 1 for _, bottom in ratios), default=0)
    return [top << (shift + 1 - bottom.bit_length()) for top, bottom in ratios], shift


def floats(values: Tensor) -> list[float]:
    """All entries of a tensor, exactly."""
    found: list[float] = values.detach().double().flatten().tolist()
    return found


def read(net: nn.Module, shape: Shape) -> list[Affine]:
    """The affine layers of a Sequential of Flatten, Linear, Conv2d and ReLU (after all but one)."""
    layers = []
    for module in _leaves(net):
        if isinstance(module, nn.Conv2d):
            places, shape = _conv_places(module, shape)
            layers.append(_affine(module, places))
        elif isinstance(module, nn.Linear):
            every = [(i, i) for i in range(module.in_features)]
            layers.append(_affine(module, [(unit, every) for unit in range(module.out_features)]))
        else:
            assert isinstance(module, nn.Flatten | nn.ReLU), module
    return layers


def _leaves(net: nn.Module) -> Iterator[nn.Module]:
    if not isinstance(net, nn.Sequential):
        yield net
        return
    for child in net:
        yield from _leaves(child)


Places = list[tuple[int, list[tuple[int, int]]]]
"""per unit: whose weights and bias it has, and which input each of its weights is multiplied by"""


def _affine(module: nn.Linear | nn.Conv2d, places: Places) -> Affine:
    units = len(module.weight)
    each = module.weight[0].numel()
    bias = [0.0] * units if module.bias is None else floats(module.bias)
    numbers, shift = whole(floats(module.weight) + bias)
    rows = tuple(
        tuple((place, weight) for k, place in entries if (weight := numbers[unit * each + k]))
        for unit, entries in places
    )
    return Affine(rows, tuple(numbers[units * each + unit] for unit, _ in places), shift)


def _conv_places(module: nn.Conv2d, shape: Shape) -> tuple[Places, Shape]:
    """A convolution's units, channel by channel and row by row."""
    channels, *sides = shape
    high, wide = module.kernel_size
    down, right = module.stride
    assert not isinstance(module.padding, str)
    top, left = module.padding
    rows = (sides[0] + 2 * top - high) // down + 1
    columns = (sides[1] + 2 * left - wide) // right + 1
    places: Places = []
    for unit in range(module.out_channels):
        for i in range(rows):
            for j in range(columns):
                entries = [
                    (
                        (channel * high + a) * wide + b,
                        (channel * sides[0] + i * down + a - top) * sides[1] + j * right + b - left,
                    )
                    for channel in range(channels)
                    for a in range(high)
                    for b in range(wide)
                    if 0 <= i * down + a - top < sides[0] and 0 <= j * right + b - left < sides[1]
                ]
                places.append((unit, entries))
    return places, (module.out_channels, rows, columns)


def logits(layers: Sequence[Affine], point: Sequence[float]) -> list[Fraction]:
    """Of one point."""
    values, shift = whole(point)
    for number, layer in enumerate(layers, 1):
        values = [
            sum(weight * values[place] for place, weight in row) + (bias << shift)
            for row, bias in zip(layer.rows, layer.bias, strict=True)
        ]
        shift += layer.shift
        if number < len(layers):
            values = [max(value, 0) for value in values]
    return [Fraction(value, 1 << shift) for value in values]


def margin(layers: Sequence[Affine], point: Sequence[float], label: int) -> Fraction:
    """The label's logit minus the largest other one: adversarial where it is <= 0."""
    found = logits(layers, point)
    own = found.pop(label)
    return own - max(found)


def power(length: float, norm: str) -> Fraction:
    """A length as its power."""
    return Fraction(length) ** (2 if norm == "l2" else 1)


def distance(x: Sequence[float], z: Sequence[float], norm: str) -> Fraction:
    """The power of ||z - x||."""
    return size([Fraction(b) - Fraction(a) for a, b in zip(x, z, strict=True)], norm)


def size(delta: Sequence[Fraction], norm: str) -> Fraction:
    """The power of ||delta||."""
    if norm == "linf":
        return max(abs(v) for v in delta)
    return sum((v * v if norm == "l2" else abs(v) for v in delta), Fraction(0))


def within(x: Sequence[float], z: Sequence[float], length: float, norm: str) -> bool:
    """Whether ||z - x|| <= length."""
    return length == math.inf or distance(x, z, norm) <= power(length, norm)


def in_box(z: Sequence[float], box: Box) -> bool:
    """Whether every entry lies in the box; NaN does not."""
    return all(box[0] <= v <= box[1] for v in z)


def farthest(x: Sequence[float], box: Box, norm: str) -> Fraction:
    """The power of the distance of the point of the box that is farthest from x."""
    low = Fraction(box[0])
    high = Fraction(box[1])
    return size([max(Fraction(v) - low, high - Fraction(v)) for v in x], norm)


def rounded(length: Fraction, norm: str) -> float:
    """A float next to the length with this power, not below it unless it is the very length."""
    if norm != "l2":
        return _up(float(length), length, norm)
    scale = max(0, 400 + length.denominator.bit_length() - length.numerator.bit_length())
    scale += scale % 2
    root = math.isqrt((length.numerator << scale) // length.denominator)
    return _up(float(Fraction(root, 1 << (scale // 2))), length, norm)


def _up(near: float, length: Fraction, norm: str) -> float:
    while power(near, norm) < length:
        near = math.nextafter(near, math.inf)
    return near


def points(values: Tensor) -> list[list[float]]:
    """A batch of images, each as its flat entries."""
    return [floats(image) for image in torch.unbind(values)]
