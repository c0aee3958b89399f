"""Estimates of what layers lose, by random projections [WSMK18, Section 3.2]; for training only.

What a unit can fall is the l1 norm of one long row (for l2: of one part of it, and the l2 norm of
another), and all units' rows times a random vector are one forward pass. Entries drawn from a
Cauchy distribution give the l1 norm as the median of the products' absolute values, Gaussian ones
the l2 norm as the root of their mean square. As sums of Cauchy variables are Cauchy, all layers'
parts share one pass. An estimate can be too small: nothing is certified by it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from relu.bounds.ball import Perturbations
from relu.bounds.relaxation import LinearRelaxation
from relu.network.layers import Layer


@dataclass(frozen=True, kw_only=True)
class RandomProjections:
    """How many random vectors estimate the bounds of layers with more units than `wider_than`."""

    count: int
    wider_than: int


def projected_falls(
    layers: Sequence[Layer],
    lines: Sequence[LinearRelaxation],
    deltas: Perturbations,
    top: int,
    count: int,
) -> Float[Tensor, "n size"]:
    """An estimate of how far the units of layer `top` fall and rise. Differentiable.

    For parallel lines, and deltas for which forms rise as far as they fall (linf, l2 without a
    box). Draws from torch's global generator.
    """
    return ESTIMATES[deltas.norm.name](layers, lines, deltas, top, count)


def _linf_falls(
    layers: Sequence[Layer],
    lines: Sequence[LinearRelaxation],
    deltas: Perturbations,
    top: int,
    count: int,
) -> Tensor:
    vectors = _cauchy(deltas.up.expand(len(deltas.eps), -1), count)
    return _pushed(layers, lines, top, vectors).abs().median(1).values


def _l2_falls(
    layers: Sequence[Layer],
    lines: Sequence[LinearRelaxation],
    deltas: Perturbations,
    top: int,
    count: int,
) -> Tensor:
    size = (len(deltas.eps), count, deltas.up.shape[1])
    noise = torch.randn(size, device=deltas.up.device).to(deltas.up)
    vectors = deltas.eps.view(-1, 1, 1) * noise
    nothing = [torch.zeros_like(line.below) for line in lines]
    still = [
        replace(line, below=no, above=no, even=True)
        for line, no in zip(lines, nothing, strict=True)
    ]
    spread = _pushed(layers, still, top, vectors).square().mean(1).clamp_min(1e-30).sqrt()
    lost = _pushed(layers, lines, top, torch.zeros_like(vectors)).abs().median(1).values
    return spread + lost


ESTIMATES: Mapping[str, Callable[..., Tensor]] = {"linf": _linf_falls, "l2": _l2_falls}
"""by norm, as `projected_falls`"""


def _pushed(
    layers: Sequence[Layer], lines: Sequence[LinearRelaxation], top: int, vectors: Tensor
) -> Tensor:
    """Vectors through the linear parts of the layers, joined by what each ReLU may lose."""
    n, count = vectors.shape[:2]
    for layer, line in zip(layers[:top], lines, strict=True):
        moved = layer.linear(vectors.flatten(0, 1)).unflatten(0, (n, count))
        vectors = moved * line.upper.unsqueeze(1) + _cauchy(line.below, count)
    pushed: Tensor = layers[top].linear(vectors.flatten(0, 1)).unflatten(0, (n, count))
    return pushed


def _cauchy(scale: Tensor, count: int) -> Tensor:
    """Vectors with independent Cauchy entries of these scales."""
    draws = torch.empty(len(scale), count, scale.shape[1], device=scale.device).cauchy_()
    return draws.to(scale.dtype) * scale.unsqueeze(1)
