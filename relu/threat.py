"""What an adversary may do: move x by at most eps in a norm, inside a box."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.errors import InputError
from relu.norms import NORMS
from relu.norms.interface import PNorm
from relu.rounding import distance_up

FARTHEST_ROUNDING = 2.0**-32  # relative; more than a sum of a million pixels is rounded up by
GIVEN = "given"  # what is printed of radii that inputs have of their own
Norm = Literal["linf", "l2", "l1"]
Radii = float | tuple[float, ...]
"""One radius of all inputs, or one for each."""


def format_eps(eps: Radii | Tensor) -> str:
    """The shortest exact spelling: "0.1", or "4/255" where that fraction is the same float64.

    "given" of a radius for each input.
    """
    if isinstance(eps, Tensor | Sequence):
        return GIVEN
    plain = f"{eps!r}"
    numerator = round(eps * 255)
    return plain if len(plain) <= 6 or numerator / 255 != eps else f"{numerator}/255"


def format_box(box: tuple[float, float]) -> str:
    """Its edges in full, "0.0,1.0"."""
    return ",".join(map(repr, box))


@dataclass(frozen=True, kw_only=True)
class Threat:
    """All z with ||z - x|| <= eps and box[0] <= z <= box[1].

    `norm` is the norm of the perturbation, `eps` its radius in pixel units (images in [0, 1]): a
    number, or a float64 tensor with a radius for each input of a batch, of which `at` takes parts.
    Raises InputError for values outside the definition.
    """

    norm: Norm
    eps: float | Float[Tensor, " n"]
    box: tuple[float, float] = (0.0, 1.0)

    def __str__(self) -> str:
        box = f" in [{self.box[0]:g}, {self.box[1]:g}]" if self.box != (0, 1) else ""
        return f"{self.norm} {format_eps(self.eps)}{box}"

    def __post_init__(self) -> None:
        if self.norm not in get_args(Norm):
            raise InputError(f"norm must be one of {', '.join(get_args(Norm))}, got {self.norm!r}")
        _require_radii(self.eps)
        if not self.box[0] < self.box[1]:
            raise InputError(f"box must be (low, high) with low < high, got {self.box!r}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Threat) and self._known_by == other._known_by

    def __hash__(self) -> int:
        return hash(self._known_by)

    @property
    def _known_by(self) -> tuple[Norm, Radii, tuple[float, float]]:
        return self.norm, self.radii, self.box

    def to_json(self) -> dict[str, Any]:
        radii = self.radii
        eps = list(radii) if isinstance(radii, tuple) else radii
        return {"norm": self.norm, "eps": eps, "box": list(self.box)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Threat":
        """The threat that `to_json` has written."""
        low, high = said["box"]
        eps = said["eps"]
        if isinstance(eps, list | tuple):
            eps = torch.tensor(eps, dtype=torch.float64)
        return cls(norm=said["norm"], eps=eps, box=(low, high))

    @property
    def radii(self) -> Radii:
        """In plain numbers, eps."""
        return tuple(self.eps.tolist()) if isinstance(self.eps, Tensor) else self.eps

    @property
    def widest(self) -> "Threat":
        """With one eps, the largest of all inputs'."""
        return replace(self, eps=float(self.eps.amax())) if isinstance(self.eps, Tensor) else self

    def at(self, which: int | slice | Int[Tensor, " m"] | Bool[Tensor, " n"]) -> "Threat":
        """That of some inputs of a batch; of one, by its number, with a number as eps."""
        if not isinstance(self.eps, Tensor):
            return self
        eps = self.eps[which.to(self.eps.device) if isinstance(which, Tensor) else which]
        return replace(self, eps=float(eps) if isinstance(which, int) else eps)

    def each(self, x: Float[Tensor, "n *shape"]) -> Float[Tensor, " n"]:
        """The radius of each input, in float64."""
        if not isinstance(self.eps, Tensor):
            return torch.full((len(x),), self.eps, dtype=torch.float64, device=x.device)
        assert len(self.eps) == len(x), "a threat with a radius for each of other inputs"
        return self.eps.to(x.device)

    def factor(self, x: Float[Tensor, "n *shape"]) -> float | Float[Tensor, "n *ones"]:
        """What eps is to a tensor of the shape and precision of x, which it multiplies."""
        if not isinstance(self.eps, Tensor):
            return self.eps
        return self.each(x).to(x.dtype).view(-1, *[1] * (x.ndim - 1))

    def grown(self, by: float, most: float) -> "Threat":
        """With eps `by` times as large, but at most `most`."""
        eps = self.eps * by
        return replace(self, eps=eps.clamp_max(most) if isinstance(eps, Tensor) else min(eps, most))

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
        return self.in_box(z) & (self.distance(x, z) <= self.each(x))

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
        return self.p_norm.project(delta, self.factor(delta)).add_(x).clamp_(low, high)

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


def _require_radii(eps: float | Tensor) -> None:
    if not isinstance(eps, Tensor):
        if not 0 < eps < math.inf:
            raise InputError(f"eps must be a positive number, got {eps!r}")
        return
    if eps.ndim != 1 or eps.dtype != torch.float64:  # 0.1 in float32 is more than 0.1
        got = f"{eps.dtype} of shape {tuple(eps.shape)}"
        raise InputError(f"eps must be a number, or a float64 for each input, got {got}")
    bad = eps[~((eps > 0) & (eps < math.inf))]
    if len(bad):
        raise InputError(f"eps must be a positive number for each input, got {float(bad[0])!r}")


@functools.cache
def inner_edges(box: tuple[float, float], dtype: torch.dtype) -> tuple[float, float]:
    """A box's edges rounded inwards to a float type."""
    low, high = (torch.tensor(edge, dtype=torch.float64).to(dtype) for edge in box)
    if low.double() < box[0]:
        low = torch.nextafter(low, torch.full_like(low, torch.inf))
    if high.double() > box[1]:
        high = torch.nextafter(high, torch.full_like(high, -torch.inf))
    return float(low), float(high)
