"""What the units of a layer lose together, where their pre-activations lie in an l2 ball.

Lines around ReLUs let every unit be at its worst at once. If z is known to lie within rho of some
center c, in l2, and in its box, then for rows r on outputs and g on pre-activations, and any
lambda >= 0,

    r . act(z) - g . z  >=  sum_i min ( r_i act(z_i) - g_i z_i + lambda/2 (z_i - c_i)^2 )
                            - lambda/2 rho^2,

the minima over the box, by Lagrange's multiplier. lambda = 0 is what lines lose; without the box it
is SDP-CROWN's offset [CHZ25, Theorem 4.1]. Every minimum has a closed form, and the bound is
concave in lambda. Distances in l2 grow by at most the largest singular value of each layer
(relu/bounds/lipschitz.py).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.bounds.ball import Ball
from relu.network.activation import activated, crossing
from relu.network.layers import Layer
from relu.rounding import UNIT, norm_up

FACTORS = (4.0, 2.0, 1.4, 1.2)  # by which lambda is changed, one after the other
WORTH = 0.8  # of what the box allows: a ball that is not smaller gains too little
COUPLED = ("l2", "l1")  # norms whose balls lie in an l2 ball of the same radius


@dataclass(frozen=True, eq=False)
class Coupling:
    """Where a layer's pre-activations are: within `radius` of `center` in l2, and in a box.

    open: units that may switch. z, given: the reference's pre-activations, and outputs, seen from
    which losses are counted. slack: what a coefficient loses by rounding of these; unit: the
    relative rounding error of sums.
    """

    center: Float[Tensor, "n size"]
    radius: Float[Tensor, " n"]
    low: Float[Tensor, "n size"]
    high: Float[Tensor, "n size"]
    open: Bool[Tensor, "n size"]
    z: Float[Tensor, "n size"]
    given: Float[Tensor, "n size"]
    slack: Float[Tensor, "n size"]
    leak: Float[Tensor, " size"] | None
    unit: float

    @property
    def useful(self) -> bool:
        """Whether some ball cuts much off its box."""
        farthest = (self.high - self.center).maximum(self.center - self.low)
        box = torch.where(self.open, farthest, 0.0).norm(dim=1)
        return bool((self.radius < WORTH * box).any())

    def at(self, which: Int[Tensor, " m"] | slice) -> "Coupling":
        """Of some of the inputs."""
        return Coupling(
            center=self.center[which],
            radius=self.radius[which],
            low=self.low[which],
            high=self.high[which],
            open=self.open[which],
            z=self.z[which],
            given=self.given[which],
            slack=self.slack[which],
            leak=self.leak,
            unit=self.unit,
        )

    def loss(
        self, rows: Float[Tensor, "*n k size"], gated: Float[Tensor, "n k size"]
    ) -> Float[Tensor, "n k"]:
        """How far open units' rows can fall below the reference, beyond what gated rows say.

        An upper bound, but for what the reference itself is rounded by.
        """
        open_ = self.open.unsqueeze(1)
        rows = torch.where(open_, rows, 0.0)
        gated = torch.where(open_, gated, 0.0)
        seen = (rows * self.given.unsqueeze(1) - gated * self.z.unsqueeze(1)).sum(2)
        leak = 0.0 if self.leak is None else self.leak
        least = LeastInBall(
            above=rows - gated,
            below=leak * rows - gated,
            center=torch.where(self.open, self.center, 0.0).unsqueeze(1),  # others stay there
            low=torch.where(self.open, self.low, 0.0).unsqueeze(1),
            high=torch.where(self.open, self.high, 0.0).unsqueeze(1),
            radius=self.radius.unsqueeze(1),
            unit=self.unit,
        ).highest()
        if self.unit:
            size = (rows.abs() @ self.given.abs().unsqueeze(2)).squeeze(2)
            size = size + (gated.abs() @ self.z.abs().unsqueeze(2)).squeeze(2)
            seen = seen + self.unit * size
        return seen - least


class LeastInBall:
    """The least sum of functions with slope `above` where z > 0 and `below` where z < 0.

    Over z in box and ball, from below, as a function of lambda: the bound is concave in it.
    """

    def __init__(
        self,
        *,
        above: Float[Tensor, "n k size"],
        below: Float[Tensor, "n k size"],
        center: Float[Tensor, "n 1 size"],
        low: Float[Tensor, "n 1 size"],
        high: Float[Tensor, "n 1 size"],
        radius: Float[Tensor, "n 1"],
        unit: float,
    ) -> None:
        self.unit = unit
        self.center = center
        self.low = low.clamp_max(0)
        self.high = high.clamp_min(0)
        tiny = torch.finfo(radius.dtype).tiny  # which a square may lose
        self.squared = radius.square() * (1 + 4 * UNIT) + tiny
        self.above = above
        self.below = below
        self.most = self.high - self.low + center.abs()

    def highest(self) -> Tensor:
        """The best bound of a few lambdas."""
        steep = self.above.abs().maximum(self.below.abs()).square().sum(2).sqrt()
        at = steep / (2 * self.squared.sqrt()).clamp_min(torch.finfo(steep.dtype).tiny)
        best = torch.full_like(at, -torch.inf)
        for factor in FACTORS:
            bound, far = self._at(at)
            best = torch.where(bound > best, bound, best)
            at = torch.where(far > self.squared, at * factor, at / factor)
        return best

    def _at(self, multiplier: Float[Tensor, "n k"]) -> tuple[Tensor, Tensor]:
        """The bound, and how far from the center (squared) it is attained."""
        half = (multiplier / 2).unsqueeze(2)
        steps = 1 / (2 * half)  # inf where lambda is 0: to the ends
        sides = []
        zero = torch.zeros_like(self.low)
        for slope, start, stop in ((self.above, zero, self.high), (self.below, self.low, zero)):
            way = (slope * steps).nan_to_num(0.0)
            z = (self.center - way).clamp(start, stop)
            far = (z - self.center).square()
            sides.append((slope * z + half * far, far))
        (up, up_far), (down, down_far) = sides
        value = torch.minimum(up, down)
        far = torch.where(up < down, up_far, down_far).sum(2)
        bound = value.sum(2) - half.squeeze(2) * self.squared
        if self.unit:
            slopes = self.above.abs().maximum(self.below.abs())
            size = (slopes * self.most + half * self.most.square()).sum(2)
            bound = bound - self.unit * (4 * size + half.squeeze(2) * self.squared)
        return bound, far


@dataclass(frozen=True, eq=False)
class Distances:
    """How far states can be from those of the ball's center, layer by layer; the start: eps."""

    state: Float[Tensor, "n size"]
    radius: Float[Tensor, " n"]

    @classmethod
    def of(cls, ball: Ball) -> "Distances | None":
        """At the input; None where the norm says nothing about l2."""
        return cls(ball.center, ball.deltas.eps) if ball.deltas.norm.name in COUPLED else None

    def coupled(
        self,
        layer: Layer,
        largest: float,
        low: Float[Tensor, "n size"],
        high: Float[Tensor, "n size"],
        *,
        z: Float[Tensor, "n size"],
        given: Float[Tensor, "n size"],
        error: Float[Tensor, "n size"],
        unit: float,
    ) -> "tuple[Distances, Coupling | None]":
        """Behind the next layer, of this largest singular value; and its coupling, if of use.

        low, high: bounds of its pre-activations; z, given, error: the reference's, and its outputs.
        """
        distances, center = self.behind(layer, largest, error, low, high)
        coupling = Coupling(
            center=center,
            radius=distances.radius,
            low=low,
            high=high,
            open=crossing(low, high, layer.leak),
            z=z,
            given=given,
            slack=error,
            leak=layer.leak,
            unit=unit,
        )
        return distances, coupling if coupling.useful else None

    def behind(
        self,
        layer: Layer,
        largest: float,
        error: Float[Tensor, "n size"],
        low: Float[Tensor, "n size"],
        high: Float[Tensor, "n size"],
    ) -> "tuple[Distances, Tensor]":
        """Behind the next layer, of this largest singular value; and the pre-activations there.

        error: how far these may be off; low, high: bounds of them, which may be the nearer ones.
        """
        z = layer.forward(self.state)
        radius = (largest * self.radius + norm_up(error)) * (1 + 8 * UNIT)
        box = norm_up((high - z).maximum(z - low).clamp_min(0))
        radius = torch.where(box < radius, box, radius)
        radius = radius + 2 * UNIT * norm_up(z.abs())  # a leak's product is rounded
        return Distances(activated(layer, z), radius), z
