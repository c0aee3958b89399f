"""Margins in exact arithmetic: what a float64 pass cannot decide."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from relu.network.blocks import AffineMap, Blocks, GeneralConv, Scale, Term
from relu.network.convolution import channels_first
from relu.network.layers import Conv, Dense, Layer
from relu.network.selection import Part

BITS = 53  # of a float64's mantissa


class _Exact:
    """An array of numbers units * 2^exponent, units being whole numbers of any size."""

    def __init__(self, units: np.ndarray, exponent: int) -> None:
        self.units = units
        self.exponent = exponent

    def at(self, exponent: int) -> np.ndarray:
        """The units at an exponent that is no larger than its own."""
        return self.units * (1 << (self.exponent - exponent))

    def plus(self, other: "_Exact") -> "_Exact":
        exponent = min(self.exponent, other.exponent)
        return _Exact(self.at(exponent) + other.at(exponent), exponent)

    def activated(self, leak: "_Exact | None") -> "_Exact":
        if leak is None:
            return _Exact(np.maximum(self.units, 0), self.exponent)
        exponent = self.exponent + leak.exponent
        positive = np.maximum(self.units, 0) * (1 << -leak.exponent)
        return _Exact(positive + np.minimum(self.units, 0) * leak.units, exponent)


def exact_margins(
    layers: Sequence[Layer], z: Float[Tensor, "n d"], y: Int[Tensor, " n"]
) -> list[Fraction]:
    """f_y(z) - max_s f_s(z) over all other classes s, without any rounding.

    Raises ValueError or OverflowError where weights or inputs are not finite. An input takes as
    many products of whole numbers as the network has of floats, some 10^7 a second.
    """
    exact = [_ExactLayer(layer) for layer in layers]
    return [_margin(exact, _exact(row), int(label)) for row, label in zip(z, y, strict=True)]


def _margin(layers: Sequence["_ExactLayer"], vector: _Exact, label: int) -> Fraction:
    for i, layer in enumerate(layers):
        inputs = vector.activated(layers[i - 1].leak) if i else vector
        vector = layer.forward(inputs)
    others = max(value for s, value in enumerate(vector.units) if s != label)
    return Fraction(int(vector.units[label] - others)) * Fraction(2) ** vector.exponent


class _ExactLayer:
    """A layer's maps between parts of vectors (one map of all, unless it is put together)."""

    def __init__(self, layer: Layer) -> None:
        whole = slice(None)
        if isinstance(layer, Blocks):
            parts = layer.parts
        else:
            assert isinstance(layer, Dense | Conv)
            parts = [Term(whole, layer, whole)]
        self.parts = [(_where(t.source), _ExactMap(t.map), _where(t.target)) for t in parts]
        self.size = layer.size
        self.leak = None if layer.leak is None else _exact(layer.leak)

    def forward(self, vector: _Exact) -> _Exact:
        total = _Exact(np.zeros(self.size, dtype=object), 0)
        for source, exact_map, target in self.parts:
            part = exact_map.forward(_Exact(vector.units[source], vector.exponent))
            wide = np.zeros(self.size, dtype=object)
            wide[target] = part.units
            total = total.plus(_Exact(wide, part.exponent))
        return total


class _ExactMap:
    """W g + b of one map."""

    def __init__(self, affine: AffineMap) -> None:
        self.affine = affine
        weight = affine.weight if isinstance(affine, Scale) else affine.weight.flatten(1)
        self.kernel = _exact(weight)
        self.bias = _exact(affine.bias)
        self.seen = _seen(affine) if isinstance(affine, Conv | GeneralConv) else None

    def forward(self, vector: _Exact) -> _Exact:
        exponent = self.kernel.exponent + vector.exponent
        if isinstance(self.affine, Scale):
            return _Exact(self.kernel.units * vector.units, exponent).plus(self.bias)
        if self.seen is None:
            alive = np.flatnonzero(vector.units)
            products = self.kernel.units[:, alive] @ vector.units[alive]
            return _Exact(products, exponent).plus(self.bias)
        seen = np.append(vector.units, 0)[self.seen]  # groups x entries of a kernel x positions
        kernels = self.kernel.units.reshape(len(seen), -1, seen.shape[1])
        positions = np.concatenate([k @ g for k, g in zip(kernels, seen, strict=True)]).T
        biases = _Exact(self.bias.units[None], self.bias.exponent)
        summed = _Exact(positions, exponent).plus(biases)
        return _Exact(summed.units.ravel(), summed.exponent)


def _where(part: Part) -> slice | np.ndarray:
    return part if isinstance(part, slice) else part.numpy(force=True)


def _seen(layer: Conv | GeneralConv) -> np.ndarray:
    """Which entry of the flat input each entry of a kernel sees, by group and position.

    -1: padding.
    """
    channels, height, width = layer.shape
    numbers = torch.arange(1, channels * height * width + 1, dtype=torch.float64).unsqueeze(0)
    images = channels_first(numbers, layer.shape).contiguous()
    dilation = layer.dilation if isinstance(layer, GeneralConv) else 1
    size = layer.weight.shape[2:]
    entries = F.unfold(images, size, dilation, layer.padding, layer.stride)[0].long().numpy() - 1
    groups = layer.groups if isinstance(layer, GeneralConv) else 1
    return entries.reshape(groups, -1, entries.shape[1])


def _exact(values: Tensor) -> _Exact:
    """Floats as whole numbers of one common power of two."""
    array = values.detach().cpu().double().numpy()
    if not np.isfinite(array).all():
        raise ValueError("exact arithmetic needs finite numbers")
    mantissa, exponent = np.frexp(array)
    least = int(exponent[mantissa != 0].min(initial=0))
    units = (mantissa * 2.0**BITS).astype(np.int64).astype(object)
    shifts = np.where(mantissa != 0, exponent - least, 0).astype(object)
    return _Exact(np.left_shift(units, shifts), least - BITS)
