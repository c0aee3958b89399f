"""linf: every pixel moves by at most eps."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from relu.norms.sharing import multiplier


@dataclass(frozen=True)
class Linf:
    """max |delta_i|; its dual is the sum."""

    name: ClassVar[str] = "linf"
    p: ClassVar[float] = math.inf
    q: ClassVar[float] = 1.0
    box_shaped: ClassVar[bool] = True
    box_first: ClassVar[bool] = False
    objective: ClassVar[Literal["largest", "squares", "sum"]] = "largest"

    def length_up(self, moved: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return moved.amax(1)

    def dual_length(self, v: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
        return v.abs().sum(-1)

    def aligned(self, v: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return v.sign()

    def ascent(
        self,
        grad: Float[Tensor, "n *shape"],
        z: Float[Tensor, "n *shape"],
        box: tuple[float, float],
    ) -> Float[Tensor, "n *shape"]:
        return grad.sign()

    def project(
        self, delta: Float[Tensor, "n *shape"], radius: float | Float[Tensor, "n *ones"]
    ) -> Float[Tensor, "n *shape"]:
        if isinstance(radius, Tensor):
            return delta.minimum(radius).maximum(-radius)
        return delta.clamp_(-radius, radius)

    def project_between(
        self,
        delta: Float[Tensor, "n d"],
        low: Float[Tensor, "n d"],
        high: Float[Tensor, "n d"],
        radius: float,
    ) -> Float[Tensor, "n d"]:
        return delta.clamp(-radius, radius).clamp(low, high)

    def random(
        self, n: int, d: int, like: Tensor, generator: torch.Generator | None
    ) -> Float[Tensor, "n d"]:
        uniform = torch.rand(n, d, device=like.device, dtype=like.dtype, generator=generator)
        return uniform.mul_(2).sub_(1)

    def support(
        self,
        rows: Float[Tensor, "n k d"],
        up: Float[Tensor, "n d"],
        down: Float[Tensor, "n d"],
        eps: Float[Tensor, " n"],
    ) -> Float[Tensor, "n k"]:
        """Exact; up = down, as the center is the middle of what can be reached."""
        return (rows.abs() @ up.unsqueeze(2)).squeeze(2)

    def shared(
        self,
        steep: Float[Tensor, "n k d"],
        room: Float[Tensor, "n k d"],
        missing: Float[Tensor, "n k"],
    ) -> Float[Tensor, "n k d"]:
        """delta_i = min(t, room_i)."""
        return torch.minimum(multiplier(steep, steep * room, room, missing), room)

    def diameter(self, pixels: int) -> float:
        return 1.0
