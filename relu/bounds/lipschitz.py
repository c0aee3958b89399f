"""Lipschitz constants of margins: products of operator norms of the layers, proven upper bounds.

ReLUs (and leaky ones) move no two values further apart, so that of states behind layers,

    ||a_l(x) - a_l(z)||  <=  ||W_l|| ||a_{l-1}(x) - a_{l-1}(z)||,
    |(f_y - f_s)(x) - (f_y - f_s)(z)|  <=  ||w_y - w_s||_*  prod_l ||W_l||  ||x - z||,

in any one norm [SZSBEGF14, Section 4.3]. The largest singular value comes from the Gram matrix
G = W W^T (or W^T W, whichever is smaller), squared k times:

    ||W||_2  =  lambda(G)^(1/2)  <=  ||G^(2^k)||_F^(1 / 2^(k+1))

[DBA23, Gram iteration], every rounding bounded; power iteration would give lower bounds.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.batching import at_once
from relu.classes import others
from relu.network.layers import Layer
from relu.rounding import UNDERFLOW, UNIT, gamma, norm_up
from relu.threat import Norm

LARGEST = 4096  # inputs or units of a layer, up to which its Gram matrix is formed


def margin_constants(
    layers: Sequence[Layer], y: Int[Tensor, " n"], norm: Norm, *, squarings: int
) -> Float[Tensor, "n k1"]:
    """Lipschitz constants of f_y - f_s in x, in the norm, for all classes s but y in order.

    layers in float64. Of bounds in several norms the best: ||x||_2 <= ||x||_1, and
    ||x||_2 <= sqrt(d) ||x||_inf.
    """
    with torch.no_grad():
        found = [_constants(layers, "l2", squarings) * _in_l2(layers, norm)]
        if norm != "l2":
            found.append(_constants(layers, norm, squarings))
        table = torch.stack(found).amin(0)
        return table[y].gather(1, others(y, len(table)))


def _in_l2(layers: Sequence[Layer], norm: Norm) -> float:
    """How long in l2 what has length 1 can be, at most."""
    return math.sqrt(_inputs(layers[0])) * (1 + 4 * UNIT) if norm == "linf" else 1.0


def _inputs(layer: Layer) -> int:
    """How many numbers a layer takes."""
    return layer.rows(torch.zeros(1, dtype=torch.long, device=layer.like.device)).shape[1]


def _constants(layers: Sequence[Layer], norm: Norm, squarings: int) -> Float[Tensor, "k k"]:
    """Of f_y - f_s for all pairs of classes."""
    room = gamma(layers, _inputs(layers[0]))
    rows = layers[-1].rows(torch.arange(layers[-1].size, device=layers[-1].like.device))
    most = layers[-1].absolute().rows(torch.arange(len(rows), device=rows.device))
    differences = (rows.unsqueeze(1) - rows.unsqueeze(0)).abs()
    differences = differences + room * (most.unsqueeze(1) + most.unsqueeze(0)) + UNDERFLOW
    lengths = {
        "linf": differences.sum(2),
        "l2": norm_up(differences.flatten(0, 1)).view(len(rows), len(rows)),
        "l1": differences.amax(2),
    }
    total = lengths[norm]
    for layer in layers[:-1]:
        # at once, as a later layer may be large
        total = total * operator_norm(layer, norm, squarings=squarings) + UNDERFLOW
    return total * (1 + room) + UNDERFLOW


def operator_norm(layer: Layer, norm: Norm, *, squarings: int) -> float:
    """The most by which a layer (in float64) makes differences longer: an upper bound."""
    room = 1 + gamma([layer], layer.size)
    sizes = layer.absolute()
    row_sums = sizes.linear(layer.like.new_ones(1, _inputs(layer)))[0] * room + UNDERFLOW
    if norm == "linf":
        return float(row_sums.amax())
    column_sums = sizes.transposed(layer.like.new_ones(1, layer.size))[0] * room + UNDERFLOW
    if norm == "l1":
        return float(column_sums.amax())
    # ||W||_2^2 <= ||W||_1 ||W||_inf
    found = float((row_sums.amax().sqrt() * column_sums.amax().sqrt()) * (1 + 8 * UNIT))
    if min(len(row_sums), len(column_sums)) <= LARGEST:
        found = min(found, _largest_singular_value(layer, row_sums, len(column_sums), squarings))
    return found


def _largest_singular_value(
    layer: Layer, row_sums: Float[Tensor, " size"], inputs: int, squarings: int
) -> float:
    """From the layer's Gram matrix, whose computed entries are off by at most gamma |W| |W|^T.

    The length of |W| |W|^T is at most that of |W|, squared, and so at most that of its row sums.
    """
    scale = float(row_sums.amax())
    gram = torch.cat(list(_gram_rows(layer, inputs, scale)))
    error = 2 * gamma([layer], inputs) * float((row_sums / scale).square().sum())
    largest = _spectral_norm(gram, squarings) + error
    return (math.sqrt(largest) * scale) * (1 + 8 * UNIT) + UNDERFLOW


def _gram_rows(layer: Layer, inputs: int, scale: float) -> Iterator[Tensor]:
    """Rows of W W^T over the scale squared, or of W^T W where W has fewer columns."""
    by_unit = layer.size <= inputs
    eye = torch.eye(min(layer.size, inputs), dtype=torch.float64, device=layer.like.device)
    for part in eye.split(max(1, at_once(eye.device) // max(layer.size, inputs))):
        if by_unit:
            yield layer.linear(layer.transposed(part / scale)) / scale
        else:
            yield layer.transposed(layer.linear(part / scale) / scale)


def _spectral_norm(matrix: Float[Tensor, "m m"], squarings: int) -> float:
    """By ||A||_2^2 = ||A^T A||_2, which is off by at most m u || |A|^T |A| ||_F <= m u ||A||_F^2.

    A is divided by its length before, so that the error is m u; what underflows is far less.
    """
    largest = float(matrix.abs().amax())
    if largest == 0:
        return 0.0
    unit = 8 * matrix.numel() * UNIT
    length = float((matrix / largest).norm()) * largest * (1 + unit)
    if squarings == 0:
        return length
    scaled = matrix / length
    squared = _spectral_norm(scaled.T @ scaled, squarings - 1) + 8 * len(matrix) * UNIT
    return (math.sqrt(squared) + UNIT) * length * (1 + 8 * UNIT)


def largest_singular_values(layers: Sequence[Layer], *, squarings: int) -> list[float]:
    """Upper bounds of each hidden layer's (in float64)."""
    with torch.no_grad():
        return [operator_norm(layer, "l2", squarings=squarings) for layer in layers[:-1]]
