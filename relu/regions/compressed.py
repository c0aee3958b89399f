"""Norms of the rows of all layers' Jacobians, and their gradients, from compressed Jacobians.

What is computed are the columns of V S (relu/regions/colouring.py): as many as there are colours,
moved through the frozen layers. Of chains of convolutions, windows are faster
(relu/regions/receptive_field.py).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from relu.network.activation import switching
from relu.network.layers import Layer
from relu.norms import aligned, dual_length
from relu.regions.colouring import Compression
from relu.regions.region import Region


def compressed_rows(
    region: Region, compression: Compression
) -> Iterator[Float[Tensor, "n colours size"]]:
    """V S of the compression's layers, transposed: of one input for all where none matters.

    Differentiable in the weights.
    """
    columns = compression.seeds
    for i, layer in enumerate(_layers(region, compression)):
        refinement = compression.refinements[i]
        if refinement is not None:
            columns = refinement.applied(columns)
        moved = layer.linear(columns.flatten(0, 1)).unflatten(0, columns.shape[:2])
        yield moved
        columns = moved if _kinks(layer) is None else moved * region.slopes[i].unsqueeze(1)


def compressed_norms(
    region: Region, compression: Compression, q: float
) -> Float[Tensor, "n units"]:
    """||V_i||_q of the units of the compression's layers; 0 of those without a kink."""
    parts = []
    for part in region.parts(_numbers(region, compression)):
        lengths = []
        every = compressed_rows(part, compression)
        for layer, moved in zip(_layers(region, compression), every, strict=True):
            found = moved.new_zeros(len(moved), layer.size)
            kinks = _kinks(layer)
            if kinks is not None:
                found[:, kinks] = dual_length(moved[:, :, kinks].transpose(1, 2), q)
            lengths.append(found.expand(len(part.x), -1))
        parts.append(torch.cat(lengths, dim=1))
    return torch.cat(parts)


class CompressedLengths(torch.autograd.Function):
    """Known norms of the units of a compression's layers, with their gradient in the weights.

    The norms' columns are not kept from when they were found: the gradient computes them again, a
    few inputs at a time. Where s of length 1 attains ||V_i||_q, it is that of s . V_i with s held
    fixed.
    """

    @staticmethod
    def forward(
        ctx: Any,
        region: Region,
        compression: Compression,
        q: float,
        lengths: Float[Tensor, "n units"],
        *weights: Tensor,
    ) -> Float[Tensor, "n units"]:
        ctx.problem = region, compression, q
        ctx.weights = weights
        return lengths.clone()

    @staticmethod
    def backward(ctx: Any, factors: Float[Tensor, "n units"]) -> tuple[Tensor | None, ...]:
        region, compression, q = ctx.problem
        total: list[Tensor | None] = [None] * len(ctx.weights)
        start = 0
        for part in region.parts(_numbers(region, compression)):
            some = factors[start : start + len(part.x)]
            start += len(part.x)
            found = _gradients(part, compression, q, some, ctx.weights)
            pairs = zip(total, found, strict=True)
            total = [b if a is None else a if b is None else a + b for a, b in pairs]
        return (None, None, None, None, *total)


@torch.enable_grad()
def _gradients(
    region: Region,
    compression: Compression,
    q: float,
    factors: Float[Tensor, "n units"],
    weights: Sequence[Tensor],
) -> Sequence[Tensor | None]:
    """Of the sum of all lengths times their factors, in each weight."""
    columns = []
    directions = []
    sizes = [layer.size for layer in _layers(region, compression)]
    every = compressed_rows(region, compression)
    for moved, factor in zip(every, factors.split(sizes, dim=1), strict=True):
        if moved.requires_grad and bool(factor.any()):
            columns.append(moved)
            factor = factor.sum_to_size(len(moved), moved.shape[2])
            unit = aligned(moved.detach().transpose(1, 2), q) * factor.unsqueeze(2)
            directions.append(unit.transpose(1, 2))
    if not columns:
        return [None] * len(weights)
    return torch.autograd.grad(columns, weights, directions, allow_unused=True)


def with_gradients(
    region: Region, compression: Compression, q: float, lengths: Float[Tensor, "n units"]
) -> Float[Tensor, "n units"]:
    """The norms of the units of the compression's layers, made differentiable."""
    pairs = [pair for layer in _layers(region, compression) for pair in layer.parameters]
    weights = [weight for weight, _ in pairs if weight.requires_grad]
    found: Tensor = CompressedLengths.apply(region, compression, q, lengths, *weights)
    return found


def _layers(region: Region, compression: Compression) -> Sequence[Layer]:
    return region.layers[: len(compression.colours)]


def _numbers(region: Region, compression: Compression) -> int:
    """How many numbers the largest table of an input has."""
    return max(
        colours * max(layer.size, below)
        for colours, layer, below in zip(
            compression.colours,
            region.layers,
            [region.x.shape[1], *(layer.size for layer in region.layers)],
            strict=False,
        )
    )


def _kinks(layer: Layer) -> slice | None:
    """From the first to the last unit with a kink; None: there is none."""
    kinked = switching(layer)
    if kinked is None:
        return slice(0, layer.size)
    units = kinked.nonzero()
    return slice(int(units[0]), int(units[-1]) + 1) if len(units) else None
