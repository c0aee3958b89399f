"""What an adversary may do: move x by at most eps in a norm, inside a box."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from relu.errors import InputError
from relu.norms import NORMS
from relu.norms.interface import PNorm
from relu.rounding import distance_up

FARTHEST_ROUNDING = 2.0**-32  # relative; more than a sum of a million pixels is rounded up by
Norm = Literal["linf", "l2", "l1"]


def format_eps(eps: float) -> str:
    """The shortest exact spelling: "0.1", or "4/255" where that fraction is the same float64."""
    plain = f"{eps!r}"
    numerator = round(eps * 255)
    return plain if len(plain) <= 6 or numerator / 255 != eps else f"{numerator}/255"


def format_box(box: tuple[float, float]) -> str:
    """Its edges in full, "0.0,1.0"."""
    return ",".join(map(repr, box))


@dataclass(frozen=True, kw_only=True)
class Threat:
    """All z with ||z - x|| <= eps and box[0] <= z <= box[1].

    `norm` is the norm of the perturbation, `eps` its radius in pixel units (images in [0, 1]).
    Raises InputError for values outside the definition.
    """

    norm: Norm
    eps: float
    box: tuple[float, float] = (0.0, 1.0)

    def __str__(self) -> str:
        box = f" in [{self.box[0]:g}, {self.box[1]:g}]" if self.box != (0, 1) else ""
        return f"{self.norm} {format_eps(self.eps)}{box}"

    def __post_init__(self) -> None:
        if self.norm not in get_args(Norm):
            raise InputError(f"norm must be one of {', '.join(get_args(Norm))}, got {self.norm!r}")
        if not 0 < self.eps < math.inf:
            raise InputError(f"eps must be a positive number, got {self.eps!r}")
        if not self.box[0] < self.box[1]:
            raise InputError(f"box must be (low, high) with low < high, got {self.box!r}")

    def to_json(self) -> dict[str, Any]:
        return {"norm": self.norm, "eps": self.eps, "box": list(self.box)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Threat":
        """The threat that `to_json` has written."""
        low, high = said["box"]
        return cls(norm=said["norm"], eps=said["eps"], box=(low, high))

    @property
    def q(self) -> float:
        """The dual exponent, 1/p + 1/q = 1."""
        return self.p_norm.q

    @property
    def p_norm(self) -> PNorm:
        """All that depends on the norm."""
        return NORMS[self.norm]

    def length(self, delta: Float[Tensor, "n *shape"]) -> Float[Tensor, " n"]:
        """The norm of each perturbation, in the precision of `delta`."""
        length: Tensor = torch.linalg.vector_norm(delta.flatten(1), ord=self.p_norm.p, dim=1)
        return length

    def distance(
        self, x: Float[Tensor, "n *shape"], z: Float[Tensor, "n *shape"]
    ) -> Float[Tensor, " n"]:
        """||z - x|| in float64, whatever the precision of x and z, rounded up.

        Never less than the exact distance of the two points, and equal to it where that is a
        float64 for linf; else more by a few roundings of its sum.
        """
        moved = distance_up(x.double().flatten(1), z.double().flatten(1))
        return self.p_norm.length_up(moved)

    def farthest(self, x: Float[Tensor, "n *shape"]) -> Float[Tensor, " n"]:
        """The distance of each x to the point of the box that is farthest from it, rounded up."""
        low, high = (torch.full_like(x, edge, dtype=torch.float64) for edge in self.box)
        z = x.double()
        return self.distance(z, torch.where(z - low > high - z, low, high))

    def saturated(
        self, x: Float[Tensor, "n *shape"], low: Float[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """Certified radii as evidence has them: inf where nothing of the box lies beyond.

        As `farthest` is rounded up, a radius that may or may not reach it is made a little smaller.
        """
        farthest = self.farthest(x)
        within = low.minimum(farthest * (1 - FARTHEST_ROUNDING))
        return torch.where(low >= farthest, torch.inf, within)

    def edges(self, dtype: torch.dtype) -> tuple[float, float]:
        """The box's edges rounded inwards to a float type: the outermost of its numbers inside."""
        return inner_edges(self.box, dtype)

    def clamped(self, z: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
        """The nearest point of the box among the numbers of z's precision."""
        return z.clamp(*self.edges(z.dtype))

    def in_box(self, z: Float[Tensor, "n *shape"]) -> Bool[Tensor, " n"]:
        """Whether every pixel lies in the box, with no slack; NaN does not."""
        flat = z.flatten(1)
        low, high = self.edges(z.dtype)
        return ((flat >= low) & (flat <= high)).all(1)

    def contains(
        self, x: Float[Tensor, "n *shape"], z: Float[Tensor, "n *shape"]
    ) -> Bool[Tensor, " n"]:
        """Whether z lies in ball and box around x, decided in float64 with no slack."""
        return self.in_box(z) & (self.distance(x, z) <= self.eps)

    def project(
        self, x: Float[Tensor, "n *shape"], z: Float[Tensor, "n *shape"]
    ) -> Float[Tensor, "n *shape"]:
        """A point of ball and box near z, up to the rounding of the tensors' precision.

        linf: the nearest point. l2: scaled onto the ball, then clipped to the box. l1: clipped,
        then the nearest point of the ball; clipping last would lose length [CH21, Section 3].
        As x lies in the box, each second step leaves what the first one did intact.
        """
        low, high = self.edges(z.dtype)
        delta = z.clamp(low, high).sub_(x) if self.p_norm.box_first else z - x
        return self.p_norm.project(delta, self.eps).add_(x).clamp_(low, high)

    def inside(
        self, x: Float[Tensor, "n *shape"], z: Float[Tensor, "n *shape"]
    ) -> Float[Tensor, "n *shape"]:
        """z, pulled towards x just enough that `contains(x, z)` holds without slack.

        Meant for the roundings that `project` leaves: the pull starts at 2^-20 of the way and
        doubles until it is more than the precision of z rounds away again.
        """
        z = self.clamped(z)
        delta = z.double() - x.double()
        for pull in (2.0**k for k in range(-20, 1)):
            out = ~self.contains(x, z)
            if not out.any():
                break
            z[out] = self.clamped((x[out] + delta[out] * (1 - pull)).to(z.dtype))
        return z


@functools.cache
def inner_edges(box: tuple[float, float], dtype: torch.dtype) -> tuple[float, float]:
    """A box's edges rounded inwards to a float type."""
    low, high = (torch.tensor(edge, dtype=torch.float64).to(dtype) for edge in box)
    if low.double() < box[0]:
        low = torch.nextafter(low, torch.full_like(low, torch.inf))
    if high.double() > box[1]:
        high = torch.nextafter(high, torch.full_like(high, -torch.inf))
    return float(low), float(high)
