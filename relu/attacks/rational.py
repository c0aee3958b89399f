"""Margins in exact arithmetic: what a float64 pass cannot decide."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from relu.network.layers import Conv, Layer, channels_first

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

    def rectified(self) -> "_Exact":
        return _Exact(np.maximum(self.units, 0), self.exponent)


def exact_margins(
    layers: Sequence[Layer], z: Float[Tensor, "n d"], y: Int[Tensor, " n"]
) -> list[Fraction]:
    """f_y(z) - max_s f_s(z) over all other classes s, without any rounding.

    Raises ValueError or OverflowError where weights or inputs are not finite. An input takes as
    many products of whole numbers as the network has of floats, some 10^7 a second.
    """
    exact = [(_kernel(layer), _exact(layer.bias)) for layer in layers]
    return [
        _margin(layers, exact, _exact(row), int(label)) for row, label in zip(z, y, strict=True)
    ]


def _margin(
    layers: Sequence[Layer], exact: Sequence[tuple[_Exact, _Exact]], vector: _Exact, label: int
) -> Fraction:
    for i, (layer, (kernel, bias)) in enumerate(zip(layers, exact, strict=True)):
        vector = _affine(layer, kernel, bias, vector.rectified() if i else vector)
    others = max(value for s, value in enumerate(vector.units) if s != label)
    return Fraction(int(vector.units[label] - others)) * Fraction(2) ** vector.exponent


def _affine(layer: Layer, kernel: _Exact, bias: _Exact, vector: _Exact) -> _Exact:
    """W v + b; of a convolution position by position, channels last."""
    exponent = kernel.exponent + vector.exponent
    if not isinstance(layer, Conv):
        nonzero = np.flatnonzero(vector.units)
        return _Exact(kernel.units[:, nonzero] @ vector.units[nonzero], exponent).plus(bias)
    seen = np.append(vector.units, 0)[_seen(layer)]
    positions = (kernel.units @ seen).T
    summed = _Exact(positions, exponent).plus(_Exact(bias.units[None], bias.exponent))
    return _Exact(summed.units.ravel(), summed.exponent)


def _kernel(layer: Layer) -> _Exact:
    return _exact(layer.weight.flatten(1))


def _seen(layer: Conv) -> np.ndarray:
    """Which entry of the flat input each entry of the kernel sees, per position; -1: padding."""
    channels, height, width = layer.shape
    numbers = torch.arange(1, channels * height * width + 1, dtype=torch.float64).unsqueeze(0)
    images = channels_first(numbers, layer.shape).contiguous()
    size = layer.weight.shape[2]
    windows = F.unfold(images, size, stride=layer.stride, padding=layer.padding)[0]
    return windows.long().numpy() - 1


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
