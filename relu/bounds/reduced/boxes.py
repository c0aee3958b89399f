"""Boxes of pre-activations, what units give at their ends, and slopes of lines on them."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Slopes:
    """Multipliers lambda = (a slope of the unit's lines) v - beta.

    alpha: the lower slope, from the leak (0) to 1 (1); beta: > 0 pushes z above `low`, < 0 below
    `high`.
    """

    alpha: Float[Tensor, "N m"]
    beta: Float[Tensor, "N m"]

    def at(self, which: Tensor) -> "Slopes":
        """Of some of the questions."""
        return Slopes(self.alpha[:, which], self.beta[:, which])


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of pre-activations, and the units' slopes on them.

    open: which units may switch; upper: the slope of the upper line, where a unit cannot switch
    its only one.
    """

    low: Float[Tensor, "N m"]
    high: Float[Tensor, "N m"]
    open: Bool[Tensor, "N m"]
    upper: Float[Tensor, "N m"]
    leak: Float[Tensor, "N 1"]

    def at(self, which: Tensor) -> "Boxes":
        """Of some of the questions."""
        return Boxes(
            low=self.low[:, which],
            high=self.high[:, which],
            open=self.open[:, which],
            upper=self.upper[:, which],
            leak=self.leak,
        )

    @cached_property
    def opened(self) -> Float[Tensor, "N m"]:
        """1 for units that may switch, 0 for the others; products are faster than choices."""
        return self.open.to(self.low.dtype)

    @cached_property
    def height(self) -> Float[Tensor, "N m"]:
        """Of the upper lines at z = 0."""
        return self.opened * (self.leak - self.upper) * self.low

    @cached_property
    def ends(self) -> "Ends":
        """What the units give at the ends."""
        return ends_of(self.low, self.high, self.leak)

    @cached_property
    def line(self) -> tuple[Tensor, Tensor]:
        """Slopes of the lower lines are the first and alpha times the second."""
        return self.upper + self.opened * (self.leak - self.upper), self.opened * (1 - self.leak)

    def lower(self, alpha: Float[Tensor, "N m"]) -> Float[Tensor, "N m"]:
        """Slopes of the lower lines."""
        start, rise = self.line
        return torch.addcmul(start, rise, alpha)


@dataclass(frozen=True, eq=False)
class Ends:
    """Ends of boxes, what units give there, and what they give at least where 0 lies between.

    least: 0, or inf where it does not.
    """

    low: Float[Tensor, "N m"]
    high: Float[Tensor, "N m"]
    at_low: Float[Tensor, "N m"]
    at_high: Float[Tensor, "N m"]
    least: Float[Tensor, "N m"]


def ends_of(
    low: Float[Tensor, "N m"], high: Float[Tensor, "N m"], leak: Float[Tensor, "N 1"]
) -> Ends:
    """Of boxes between these bounds."""
    return Ends(
        low=low,
        high=high,
        at_low=torch.where(low > 0, low, leak * low),
        at_high=torch.where(high > 0, high, leak * high),
        least=torch.where((low < 0) & (high > 0), 0.0, torch.inf).to(low.dtype),
    )


def boxes_of(
    low: Float[Tensor, "N m"], high: Float[Tensor, "N m"], leak: Float[Tensor, " N"]
) -> Boxes:
    """Boxes between these bounds."""
    leak = leak.unsqueeze(1)
    open_ = (low < 0) & (high > 0) & (leak < 1)
    chord = (high - leak * low) / torch.where(open_, high - low, 1.0)
    settled = torch.where(low >= 0, 1.0, leak)
    return Boxes(low, high, open_, torch.where(open_, chord, settled), leak)


def crown_slopes(low: Float[Tensor, "N m"], high: Float[Tensor, "N m"]) -> Slopes:
    """Lower slopes 1 or 0, whichever leaves the smaller area [ZWCHD18]."""
    return Slopes((high > -low).to(low.dtype), torch.zeros_like(low))
