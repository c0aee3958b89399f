"""What is asked of a norm."""

from typing import ClassVar, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class PNorm(Protocol):
    """The norm ||.||_p of perturbations, and its dual ||.||_q, 1/p + 1/q = 1.

    box_shaped: whether balls are boxes, and so are those that a box cuts. objective: what a program
    minimises for the smallest perturbation; of a "sum", pixels go up and down by a variable each.
    box_first: whether a point is clipped to the box before it is projected on the ball.
    """

    name: ClassVar[str]
    p: ClassVar[float]
    q: ClassVar[float]
    box_shaped: ClassVar[bool]
    box_first: ClassVar[bool]
    objective: ClassVar[Literal["largest", "squares", "sum"]]

    def length_up(self, moved: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """The length of moves >= 0 in float64, rounded up (relu/rounding.py)."""
        ...

    def dual_length(self, v: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
        """||v||_q over the last axis; 0 of nothing. Differentiable."""
        ...

    def aligned(self, v: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """The s of length 1 with s . v = ||v||_q."""
        ...

    def ascent(
        self,
        grad: Float[Tensor, "n *shape"],
        z: Float[Tensor, "n *shape"],
        box: tuple[float, float],
    ) -> Float[Tensor, "n *shape"]:
        """A move of length 1 of z, along which what has this gradient grows fast inside the box."""
        ...

    def project(
        self, delta: Float[Tensor, "n *shape"], radius: float | Float[Tensor, "n *ones"]
    ) -> Float[Tensor, "n *shape"]:
        """The nearest point (in l2) of the ball around 0; delta may be reused.

        radius: of all balls, or of each, in the precision of delta.
        """
        ...

    def project_between(
        self,
        delta: Float[Tensor, "n d"],
        low: Float[Tensor, "n d"],
        high: Float[Tensor, "n d"],
        radius: float,
    ) -> Float[Tensor, "n d"]:
        """A point near delta of the ball and of the box low <= d <= high around 0.

        The nearest one (in l2) for linf and l1; for l2 scaled, then clipped.
        """
        ...

    def random(
        self, n: int, d: int, like: Tensor, generator: torch.Generator | None
    ) -> Float[Tensor, "n d"]:
        """Points drawn uniformly from the ball of radius 1, in the precision of `like`."""
        ...

    def support(
        self,
        rows: Float[Tensor, "n k d"],
        up: Float[Tensor, "n d"],
        down: Float[Tensor, "n d"],
        eps: Float[Tensor, " n"],
    ) -> Float[Tensor, "n k"]:
        """Max of -rows . delta, or a little more: -down <= delta <= up and ||delta|| <= eps."""
        ...

    def shared(
        self,
        steep: Float[Tensor, "n k d"],
        room: Float[Tensor, "n k d"],
        missing: Float[Tensor, "n k"],
    ) -> Float[Tensor, "n k d"]:
        """The shortest delta with 0 <= delta <= room and sum_i steep_i delta_i = missing.

        Where `missing` is more than there is, what comes out is of no use.
        """
        ...

    def diameter(self, pixels: int) -> float:
        """The length of (1, ..., 1): that of a box of width 1."""
        ...
