"""Values of a graph: affine functions of the state behind some layer, and what is done to them."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from relu.network.blocks import AffineMap, Scale
from relu.network.layers import Dense, Shape
from relu.network.selection import Part

JOINED = 4  # constants that a map may be joined with: rounding for which bounds leave room


@dataclass(frozen=True, eq=False)
class Value:
    """Sums of maps of the state behind `level` layers: each term's map (None: as it is).

    shape: as torch has it. order: torch's entry j is entry order[j] here; None: entry j, of images
    with their channels last. joined: how many constants the map was joined with.
    """

    level: int
    terms: tuple[tuple[Part, AffineMap | None, Part], ...]
    size: int
    shape: Shape
    order: Int[Tensor, " size"] | None = None
    joined: int = 0

    @property
    def alone(self) -> tuple[Part, AffineMap | None] | None:
        """The only term's source and map, if it is only one, of all entries."""
        if len(self.terms) > 1 or self.terms[0][2] != slice(0, self.size):
            return None
        return self.terms[0][:2]


def shifted(target: Part, start: int) -> Part:
    """The entries, counted from `start`."""
    if isinstance(target, slice):
        return slice(target.start + start, target.stop + start)
    return target + start


def entries_taken(
    numbers: Int[Tensor, " m"], device: torch.device, sign: Tensor | None
) -> list[tuple[Part, AffineMap | None, Part]]:
    """The term that takes these entries, one by one, where there are any (not -1)."""
    there = (numbers >= 0).nonzero().squeeze(1)
    if not len(there):
        return []
    scale = None
    if sign is not None:
        scale = Scale(sign.expand(len(there)), torch.zeros_like(sign).expand(len(there)))
    whole = len(there) == len(numbers)
    target = slice(0, len(numbers)) if whole else there.to(device)
    return [(numbers[there].to(device), scale, target)]


def _shortened(affine: AffineMap, numbers: Tensor) -> Tensor:
    """A number for each entry, as one for each channel of a convolution."""
    if isinstance(affine, Dense | Scale):
        return numbers
    images: Tensor = numbers.unflatten(0, (-1, len(affine.weight)))
    return images[0]


def cancels(affine: AffineMap, weight: Tensor, bias: Tensor) -> bool:
    """Whether weight * (the map) + bias has an entry whose two constants cancel.

    That is, their sum is less than half of what their absolute values add up to: its rounding
    counts.
    """
    a = rescaled(affine, weight, torch.zeros_like(bias)).bias
    b = _shortened(affine, bias)
    return bool(((a + b).abs() * 2 < a.abs() + b.abs()).any())


def rescaled(affine: AffineMap | None, weight: Tensor, bias: Tensor) -> AffineMap:
    """Weight * (the map) + bias; of convolutions, one number for each channel says it all."""
    if affine is None:
        return Scale(weight, bias)
    if isinstance(affine, Scale):
        return Scale(affine.weight * weight, affine.bias * weight + bias)
    weight = _shortened(affine, weight)
    bias = _shortened(affine, bias)
    rows = weight.view(-1, *[1] * (affine.weight.ndim - 1))
    return replace(affine, weight=affine.weight * rows, bias=affine.bias * weight + bias)
