"""How far float64 can be from exact arithmetic: sums of products of a network, and distances.

`gamma` bounds the error of sums for a whole network at once; distances are rounded up, so that a
witness is never farther than it claims.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

UNIT = 2.0**-53  # the relative rounding error of one operation in float64
UNDERFLOW = 2.0**-960
"""what sums of up to 2^40 products may lose as each of them underflows (2^-1022), with room"""


@runtime_checkable
class Summing(Protocol):
    """What forms sums: a layer."""

    @property
    def terms(self) -> int:
        """The number of terms of its longest sum."""
        ...


def gamma(layers: Sequence[Summing], d: int) -> float:
    """The relative error of anything computed through these layers from d inputs, or back.

    It is relative to the same computation with the absolute values of all its terms: the standard
    forward error bound of sums of products, 8 u times the number of terms of each layer's longest
    sums, u = 2^-53. The 8 leaves room for the few other operations on the way. Numbers so small
    that they underflow lose up to UNDERFLOW beside it, wherever a sum is formed.
    """
    return 8 * (d + sum(layer.terms for layer in layers)) * 2.0**-53


def distance_up(x: Float[Tensor, "n d"], z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """|z - x| coordinate by coordinate: exact where that is a float64, else the next one above.

    The error of a difference is itself a float64, which six operations give exactly [Knuth, TAOCP
    2, 4.2.2, Theorem B].
    """
    difference = z - x
    part = difference - z
    error = (z - (difference - part)) - (x + part)
    size = difference.abs()
    larger = torch.where(difference > 0, error > 0, error < 0)
    return torch.where(larger, _next(size), size)


def sum_up(moved: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """The sum of numbers >= 0, in whatever order it is formed, increased by its rounding.

    Exact where no more than one of them is not 0.
    """
    count = (moved > 0).sum(1).to(moved.dtype)
    total = moved.sum(1)
    return torch.where(count > 1, _next(total * (1 + 2 * count * UNIT)), total)


def norm_up(moved: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """The l2 norm of numbers >= 0, increased by its rounding; their squares cannot underflow.

    Exact where no more than one of them is not 0.
    """
    count = (moved > 0).sum(1).to(moved.dtype)
    largest = moved.amax(1)
    scaled = moved / torch.where(largest > 0, largest, 1.0).unsqueeze(1)
    length = torch.linalg.vector_norm(scaled, dim=1) * largest
    return torch.where(count > 1, _next(length * (1 + 2 * (count + 4) * UNIT)), largest)


def _next(values: Tensor) -> Tensor:
    """The next float64 above."""
    return torch.nextafter(values, torch.full_like(values, torch.inf))
