"""l1: the sum of all moves."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from relu.norms.sharing import room_against
from relu.rounding import sum_up

BISECTIONS = 14  # each of which leaves a valid bound
SHARE = 0.01  # of the pixels move in one l1 step, as in the sparse steps of [TB19]


@dataclass(frozen=True)
class L1:
    """sum |delta_i|; its dual is the largest entry."""

    name: ClassVar[str] = "l1"
    p: ClassVar[float] = 1.0
    q: ClassVar[float] = math.inf
    box_shaped: ClassVar[bool] = False
    box_first: ClassVar[bool] = True
    objective: ClassVar[Literal["largest", "squares", "sum"]] = "sum"

    def length_up(self, moved: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return sum_up(moved)

    def dual_length(self, v: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
        if not v.shape[-1]:  # a unit may see nothing but padding
            return v.abs().sum(-1)
        return v.abs().amax(-1)

    def aligned(self, v: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        top = v.abs().argmax(-1, keepdim=True)
        return torch.zeros_like(v).scatter_(-1, top, v.gather(-1, top).sign())

    def ascent(
        self,
        grad: Float[Tensor, "n *shape"],
        z: Float[Tensor, "n *shape"],
        box: tuple[float, float],
    ) -> Float[Tensor, "n *shape"]:
        """One pixel would do, but a share of SHARE of them moves together.

        Those with the largest |grad|, among those not yet at the box's edge.
        """
        low, high = box
        half = torch.full((), (high - low) / 2, dtype=grad.dtype, device=grad.device)
        room = half.copysign(grad).add_((low + high) / 2).sub_(z)  # to the edge that grad points to
        size = room.sign_().mul_(grad).abs_()
        count = max(1, round(SHARE * math.prod(grad.shape[1:])))
        top = size.flatten(1).topk(count, dim=1, sorted=False).indices
        signs = grad.flatten(1).gather(1, top).sign_().div_(count)
        return torch.zeros_like(grad).flatten(1).scatter_(1, top, signs).view_as(grad)

    def project(
        self, delta: Float[Tensor, "n *shape"], radius: float | Float[Tensor, "n *ones"]
    ) -> Float[Tensor, "n *shape"]:
        """Argmin ||d - delta||_2 with ||d||_1 <= radius: d_i = sign(delta_i) max(|delta_i| - t, 0).

        The length of d is convex and piecewise linear in t, so Newton's method from t = 0 climbs to
        the smallest t that fits in finitely many steps (a handful), and without sorting.
        """
        kept = delta.abs().flatten(1)
        radius = radius.flatten(1) if isinstance(radius, Tensor) else radius
        for _ in range(kept.shape[1]):
            excess = kept.sum(1, keepdim=True).sub_(radius).clamp_(min=0)
            if not (excess > radius * 1e-6).any():
                break
            t = excess / kept.sign().sum(1, keepdim=True).clamp_(min=1)
            kept.sub_(t).clamp_(min=0)
        return torch.copysign(kept.view_as(delta), delta)

    def project_between(
        self,
        delta: Float[Tensor, "n d"],
        low: Float[Tensor, "n d"],
        high: Float[Tensor, "n d"],
        radius: float,
    ) -> Float[Tensor, "n d"]:
        return project_between(delta, low, high, radius)

    def random(
        self, n: int, d: int, like: Tensor, generator: torch.Generator | None
    ) -> Float[Tensor, "n d"]:
        """A direction of Laplace entries, uniform on the sphere, times U^(1/d)."""

        def uniform(*size: int) -> Tensor:
            return torch.rand(*size, device=like.device, dtype=like.dtype, generator=generator)

        delta = uniform(n, d).mul_(2).sub_(1)
        delta = torch.copysign(delta.abs().neg_().log1p_(), delta)
        length = torch.linalg.vector_norm(delta, ord=1.0, dim=1)
        return delta.mul_(uniform(n, 1) ** (1 / d) / length.clamp_min(1e-30).unsqueeze(1))

    def support(
        self,
        rows: Float[Tensor, "n k d"],
        up: Float[Tensor, "n d"],
        down: Float[Tensor, "n d"],
        eps: Float[Tensor, " n"],
    ) -> Float[Tensor, "n k"]:
        """Never less than the maximum; more by what a bisection leaves."""
        return most_in_room(rows.abs(), room_against(rows, up, down), eps.unsqueeze(1))

    def shared(
        self,
        steep: Float[Tensor, "n k d"],
        room: Float[Tensor, "n k d"],
        missing: Float[Tensor, "n k"],
    ) -> Float[Tensor, "n k d"]:
        """The steepest coordinates to their edge, the next one as far as it is needed."""
        steep, order = steep.sort(dim=2, descending=True)
        most = steep * room.gather(2, order)
        before = most.cumsum(2) - most
        needed = (missing.unsqueeze(2) - before).clamp_min(0).minimum(most)
        delta = needed / steep.clamp_min(torch.finfo(steep.dtype).tiny)
        return torch.zeros_like(delta).scatter(2, order, delta)

    def diameter(self, pixels: int) -> float:
        return float(pixels)


def most_in_room(size: Tensor, room: Tensor, eps: Tensor) -> Tensor:
    """Max of sum size_i d_i subject to 0 <= d_i <= room_i and sum d_i <= eps.

    For any t >= 0 it is at most t eps + sum max(size_i - t, 0) room_i. The best t is 0 or one of
    the sizes: bisection brings it close, and then the size next to it is taken.
    """
    with torch.no_grad():
        low = torch.zeros_like(size[..., :1])
        high = size.amax(-1, keepdim=True)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            too_small = (room * (size > middle)).sum(-1, keepdim=True) > eps.unsqueeze(-1)
            low = torch.where(too_small, middle, low)
            high = torch.where(too_small, high, middle)
        below = torch.where(size <= high, size, -1.0)
        nearest = below.argmax(-1, keepdim=True)
        present = below.gather(-1, nearest) >= 0
    t = torch.where(present, size.gather(-1, nearest), 0.0)
    return t.squeeze(-1) * eps + ((size - t).clamp_min(0) * room).sum(-1)


def project_between(
    delta: Float[Tensor, "n d"],
    low: Float[Tensor, "n d"],
    high: Float[Tensor, "n d"],
    radius: float,
) -> Float[Tensor, "n d"]:
    """Argmin ||d - delta||_2 subject to ||d||_1 <= radius and low <= d <= high, low <= 0 <= high.

    [CH21]: with room_i the way from 0 to the edge on delta's side,

        d_i = sign(delta_i) min(max(|delta_i| - t, 0), room_i)

    for the smallest t >= 0 that fits. ||d||_1 is piecewise linear in t and falls; between two of
    the places |delta_i| - room_i, where d_i leaves its edge, and |delta_i|, where it is 0, it is
    followed exactly.
    """
    size = delta.abs()
    room = torch.where(delta < 0, -low, high)
    leaves = size - room
    places, order = torch.cat([leaves, size], dim=1).clamp_min_(0).sort(1)
    count = torch.cat([torch.ones_like(size), -torch.ones_like(size)], dim=1)
    falling = count.gather(1, order).cumsum(1)  # pixels between their places, behind each place
    length = size.minimum(room).sum(1, keepdim=True)  # at t = 0
    first = torch.zeros_like(places[:, :1])
    ways = torch.cat([places[:, :1], places.diff(dim=1)], dim=1)
    before = torch.cat([first, falling[:, :-1]], dim=1)
    at_place = length - (before * ways).cumsum(1)
    piece = (at_place > radius).sum(1, keepdim=True).clamp_max(places.shape[1] - 1)
    t = places.gather(1, piece)
    slope = before.gather(1, piece).clamp_min(1)
    t = (t - (radius - at_place.gather(1, piece)) / slope).clamp_min_(0)
    t = torch.where(length <= radius, 0.0, t)
    kept = (size - t).clamp_min_(0).minimum(room)
    return torch.copysign(kept, delta)
