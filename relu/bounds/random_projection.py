"""Estimates of what layers lose, by random projections [WSMK18, Section 3.2]; for training only.

What a unit can fall is the l1 norm of one long row (for l2: of one part of it, and the l2 norm of
another), and all units' rows times a random vector are one forward pass. Entries drawn from a
Cauchy distribution give the l1 norm as the median of the products' absolute values, Gaussian ones
the l2 norm as the root of their mean square. As sums of Cauchy variables are Cauchy, all layers'
parts share one pass. An estimate can be too small: nothing is certified by it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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

    def of(self, deltas: Perturbations) -> "Projected | None":
        """The vectors of these inputs; None where no theory covers their perturbations.

        It covers parallel lines, and deltas for which forms rise as far as they fall (linf, l2
        without a box).
        """
        if not deltas.symmetric or deltas.norm.name not in PROJECTED:
            return None
        return PROJECTED[deltas.norm.name](deltas, self)


class Projected(ABC):
    """Random vectors on their way up through a network: one pass serves all layers' estimates.

    Draws from torch's global generator.
    """

    def __init__(self, settings: RandomProjections) -> None:
        self.wider_than = settings.wider_than

    @abstractmethod
    def falls(
        self, layers: Sequence[Layer], lines: Sequence[LinearRelaxation]
    ) -> Float[Tensor, "n size"]:
        """An estimate of how far the units of the layer above these lines fall and rise."""


class _Pushed:
    """Vectors moved through the linear parts of layers, joined by what each ReLU may lose."""

    def __init__(self, vectors: Float[Tensor, "n m d"]) -> None:
        self.vectors = vectors
        self.level = 0

    def above(
        self, layers: Sequence[Layer], lines: Sequence[LinearRelaxation], *, losing: bool = True
    ) -> Float[Tensor, "n m size"]:
        """What the layer above these lines makes of them."""
        for layer, line in zip(layers[self.level :], lines[self.level :], strict=False):
            moved = self._moved(layer) * line.upper.unsqueeze(1)
            self.vectors = moved + _cauchy(line.below, moved.shape[1]) if losing else moved
            self.level += 1
        return self._moved(layers[self.level])

    def _moved(self, layer: Layer) -> Tensor:
        moved = layer.linear(self.vectors.flatten(0, 1))
        return moved.view(*self.vectors.shape[:2], -1)


class _Linf(Projected):
    """Cauchy vectors: what the input and all layers may lose adds up in one of them."""

    def __init__(self, deltas: Perturbations, settings: RandomProjections) -> None:
        super().__init__(settings)
        self.all = _Pushed(_cauchy(deltas.up.expand(len(deltas.eps), -1), settings.count))

    def falls(
        self, layers: Sequence[Layer], lines: Sequence[LinearRelaxation]
    ) -> Float[Tensor, "n size"]:
        return self.all.above(layers, lines).abs().median(1).values


class _L2(Projected):
    """Gaussian vectors for the input's part, Cauchy ones for what the layers may lose."""

    def __init__(self, deltas: Perturbations, settings: RandomProjections) -> None:
        super().__init__(settings)
        size = (len(deltas.eps), settings.count, deltas.up.shape[1])
        noise = torch.randn(size, device=deltas.up.device).to(deltas.up)
        self.input = _Pushed(deltas.eps.view(-1, 1, 1) * noise)
        self.lost = _Pushed(torch.zeros_like(noise))

    def falls(
        self, layers: Sequence[Layer], lines: Sequence[LinearRelaxation]
    ) -> Float[Tensor, "n size"]:
        spread = self.input.above(layers, lines, losing=False)
        lost = self.lost.above(layers, lines)
        return spread.square().mean(1).clamp_min(1e-30).sqrt() + lost.abs().median(1).values


Projection = Callable[[Perturbations, RandomProjections], Projected]
PROJECTED: Mapping[str, Projection] = {"linf": _Linf, "l2": _L2}
"""by norm"""


def _cauchy(scale: Float[Tensor, "n size"], count: int) -> Float[Tensor, "n m size"]:
    """Vectors with independent Cauchy entries of these scales: tan(pi (u - 1/2)), u uniform."""
    draws = torch.rand(len(scale), count, scale.shape[1], device=scale.device)
    return draws.sub_(0.5).mul_(math.pi).tan_().to(scale.dtype) * scale.unsqueeze(1)
