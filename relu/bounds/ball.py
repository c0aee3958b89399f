"""Where an adversary can move an input: a ball of its own radius, cut by the box.

How far a linear form can fall on that set is all that bounds by linear relaxation need to know of
it. Without a box that is the radius times the form's dual norm; inside the box it is less.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.norms import dual_length
from relu.threat import Threat

NEWTON_STEPS = 4  # of a monotone iteration, any iterate of which gives a valid bound
BISECTIONS = 14  # likewise


@dataclass(frozen=True, eq=False)
class Room:
    """How far pixels can go from a center: -down <= delta <= up, and ||delta|| <= eps.

    For linf up = down say it all. even: there is no box, so that eps says it all. A pixel with
    up = down = 0 does not move.
    """

    q: float
    eps: Float[Tensor, " n"]
    up: Float[Tensor, "n d"]
    down: Float[Tensor, "n d"]
    even: bool

    @property
    def symmetric(self) -> bool:
        """Whether forms rise as much as they fall."""
        return self.even or self.q == 1

    def at(self, which: Int[Tensor, " m"] | slice) -> "Room":
        """That of the inputs `which`."""
        up = self.up[which]
        down = up if self.down is self.up else self.down[which]
        return replace(self, eps=self.eps[which], up=up, down=down)

    def seen(self, pixels: Int[Tensor, " s"]) -> "Room":
        """That of some pixels alone."""
        up = self.up[:, pixels]
        return replace(self, up=up, down=up if self.down is self.up else self.down[:, pixels])

    def fall(self, rows: Float[Tensor, "n k d"]) -> Float[Tensor, "n k"]:
        """How far rows . z can fall from the center. Differentiable in the rows.

        Never less than that; more only for l2 and l1 inside a box, by what a few steps of an
        iteration leave.
        """
        if not rows.shape[-1]:  # a unit may see nothing but padding
            return rows.new_zeros(rows.shape[:-1])
        if self.even:
            return dual_length(rows, self.q) * self.eps.unsqueeze(1)
        if self.q == 1:
            return (rows.abs() @ self.up.unsqueeze(2)).squeeze(2)
        room = torch.where(rows > 0, self.down.unsqueeze(1), self.up.unsqueeze(1))
        fall = _fall_l2 if self.q == 2 else _fall_l1
        return fall(rows.abs(), room, self.eps.unsqueeze(1))

    def rise(self, rows: Float[Tensor, "n k d"]) -> Float[Tensor, "n k"]:
        """How far rows . z can rise from the center."""
        return self.fall(rows if self.symmetric else -rows)


@dataclass(frozen=True, eq=False)
class Ball:
    """Where each input can be moved to: how far around a center.

    The center is the input itself, but for linf inside the box the middle of what ball and box
    leave of each pixel.
    """

    center: Float[Tensor, "n d"]
    room: Room


def ball_of(
    x: Float[Tensor, "n d"],
    threat: Threat,
    *,
    eps: Float[Tensor, " n"] | None = None,
    box: bool = True,
) -> Ball:
    """The balls around x in the threat's norm, with radius eps (default: the threat's)."""
    eps = torch.full_like(x[:, 0], threat.eps) if eps is None else eps.to(x.dtype)
    up = down = eps.unsqueeze(1).expand_as(x)
    if not box:
        return Ball(x, Room(threat.q, eps, up, down, even=True))
    low, high = threat.box
    down = (x - low).minimum(down)
    up = (high - x).minimum(up)
    assert not ((down < 0) | (up < 0)).any(), "inputs must lie in the box"
    if threat.norm == "linf":
        x = x + (up - down) / 2
        up = (up + down) / 2
        down = up
    return Ball(x, Room(threat.q, eps, up, down, even=False))


def _fall_l2(size: Tensor, room: Tensor, eps: Tensor) -> Tensor:
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
    spare = eps.square() - d.square().sum(-1)
    bonus = torch.where(clipped.squeeze(-1), 0.0, spare / (2 * t.squeeze(-1)))
    return (size * d).sum(-1) + bonus


def _fall_l1(size: Tensor, room: Tensor, eps: Tensor) -> Tensor:
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
        some = below.gather(-1, nearest) >= 0
    t = torch.where(some, size.gather(-1, nearest), 0.0)
    return t.squeeze(-1) * eps + ((size - t).clamp_min(0) * room).sum(-1)
