"""l2: the Euclidean length."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from relu.norms.sharing import multiplier, room_against
from relu.rounding import norm_up

NEWTON_STEPS = 4  # of a monotone iteration, any iterate of which gives a valid bound
SMALL_LENGTH = 1e-140  # of a float64 row, from which on what its squares underflow by is nothing


@dataclass(frozen=True)
class L2:
    """The root of the sum of squares, which is its own dual."""

    name: ClassVar[str] = "l2"
    p: ClassVar[float] = 2.0
    q: ClassVar[float] = 2.0
    box_shaped: ClassVar[bool] = False
    box_first: ClassVar[bool] = False
    objective: ClassVar[Literal["largest", "squares", "sum"]] = "squares"

    def length_up(self, moved: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return norm_up(moved)

    def dual_length(self, v: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
        length: Tensor = torch.linalg.vector_norm(v, dim=-1)  # whose gradient at 0 is 0
        return _scaled_where_small(v, length) if v.dtype == torch.float64 else length

    def aligned(self, v: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return v / self.dual_length(v).clamp_min(torch.finfo(v.dtype).tiny).unsqueeze(-1)

    def ascent(
        self,
        grad: Float[Tensor, "n *shape"],
        z: Float[Tensor, "n *shape"],
        box: tuple[float, float],
    ) -> Float[Tensor, "n *shape"]:
        length = torch.linalg.vector_norm(grad.flatten(1), ord=2.0, dim=1).clamp_min(1e-30)
        step: Tensor = grad / length.view(-1, *[1] * (grad.ndim - 1))
        return step

    def project(
        self, delta: Float[Tensor, "n *shape"], radius: float | Float[Tensor, "n *ones"]
    ) -> Float[Tensor, "n *shape"]:
        """Scaled onto the ball where it is longer."""
        length = torch.linalg.vector_norm(delta.flatten(1), ord=2.0, dim=1)
        length = length.view(-1, *[1] * (delta.ndim - 1))
        return delta.mul_(radius / length.clamp_min_(radius))

    def project_between(
        self,
        delta: Float[Tensor, "n d"],
        low: Float[Tensor, "n d"],
        high: Float[Tensor, "n d"],
        radius: float,
    ) -> Float[Tensor, "n d"]:
        return self.project(delta.clone(), radius).clamp(low, high)

    def random(
        self, n: int, d: int, like: Tensor, generator: torch.Generator | None
    ) -> Float[Tensor, "n d"]:
        """A direction uniform on the sphere times U^(1/d)."""
        delta = torch.randn(n, d, device=like.device, dtype=like.dtype, generator=generator)
        length = torch.linalg.vector_norm(delta, ord=2.0, dim=1)
        share = torch.rand(n, 1, device=like.device, dtype=like.dtype, generator=generator)
        return delta.mul_(share ** (1 / d) / length.clamp_min(1e-30).unsqueeze(1))

    def support(
        self,
        rows: Float[Tensor, "n k d"],
        up: Float[Tensor, "n d"],
        down: Float[Tensor, "n d"],
        eps: Float[Tensor, " n"],
    ) -> Float[Tensor, "n k"]:
        """Never less than the maximum; more by what a few steps of an iteration leave."""
        return most_in_room(rows.abs(), room_against(rows, up, down), eps.unsqueeze(1))

    def shared(
        self,
        steep: Float[Tensor, "n k d"],
        room: Float[Tensor, "n k d"],
        missing: Float[Tensor, "n k"],
    ) -> Float[Tensor, "n k d"]:
        """delta_i = min(t steep_i, room_i)."""
        edge = room / steep.clamp_min(torch.finfo(steep.dtype).tiny)
        t = multiplier(steep * steep, steep * room, edge, missing)
        return torch.minimum(t * steep, room)

    def diameter(self, pixels: int) -> float:
        return math.sqrt(pixels)


def _scaled_where_small(v: Tensor, length: Tensor) -> Tensor:
    """Lengths in l2, those computed from their scaled rows whose squares may have underflown."""
    small = (length < SMALL_LENGTH).nonzero()
    if not len(small) or not v.shape[-1]:  # a unit may see nothing but padding
        return length
    largest = torch.linalg.vector_norm(v.detach()[tuple(small.T)], torch.inf, dim=-1)
    small = small[largest != 0]  # rows of zeros are what they seem
    if not len(small):
        return length
    which = tuple(small.T)
    largest = largest[largest != 0]
    again = torch.linalg.vector_norm(v[which] / largest.unsqueeze(-1), dim=-1) * largest
    return length.index_put(which, again)


def most_in_room(size: Tensor, room: Tensor, eps: Tensor) -> Tensor:
    """Max of sum size_i d_i subject to 0 <= d_i <= room_i and ||d||_2 <= eps.

    For any t > 0 the Lagrangian with multiplier 1 / t bounds it, with d_i = min(size_i t, room_i):

        sum size_i d_i + (eps^2 - ||d||^2) / (2 t)

    ||d||^2 = eps^2 is best. As a function of t^2 it is concave, so Newton's method from 0 climbs.
    """
    with torch.no_grad():
        squares = size.square()
        rooms = room.square()
        tau = torch.zeros_like(size[..., :1])
        for _ in range(NEWTON_STEPS):
            steps = squares * tau
            slope = (squares * (steps < rooms)).sum(-1, keepdim=True)
            left = eps.square().unsqueeze(-1) - steps.minimum(rooms).sum(-1, keepdim=True)
            tau += torch.where(slope > 0, left.clamp_min(0) / slope, 0.0)
        t = tau.sqrt()
        clipped = ~(slope > 0) | ~t.isfinite()  # the corner of the rooms is inside the ball
        t = torch.where(clipped, 1.0, t)
    d = torch.where(clipped, room, (size * t).minimum(room))
    spare = eps.square() - d.square().sum(-1) + torch.finfo(d.dtype).tiny  # squares may underflow
    bonus = torch.where(clipped.squeeze(-1), 0.0, spare / (2 * t.squeeze(-1)))
    return (size * d).sum(-1) + bonus
