"""Linear relaxations of a ReLU: between which two lines relu(z) lies while low <= z <= high.

    lower z  <=  relu(z)  <=  upper z + offset

Of a unit with a leak a, a z + (1 - a) relu(z), slopes are a + (1 - a) times these, and the offset
1 - a times this one. An active unit (low >= 0) has slopes 1, an inactive one (high <= 0) slopes 0.
For a unit that may switch, the upper line is the chord, slope high / (high - low); lower slopes are
a choice:

- "kw": the chord's own slope, so that the lines are parallel [WK18; Fast-Lin in WZCS18];
- "crown": 1 or 0, whichever leaves the smaller area [ZWCHD18].
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.bounds.coupling import Coupling
from relu.network.activation import crossing

Relaxation = Literal["kw", "crown"]


@dataclass(frozen=True, eq=False)
class LinearRelaxation:
    """The lines of the units of one layer, seen from a reference value of each.

    lower, upper: their slopes; parallel: whether these are the same. below, above: how far the
    lower line lies below, and the upper line above, what the unit gives at the reference; even:
    whether that is the middle between them, so that these are the same. Slopes may differ from row
    to row (n x k x size).
    """

    lower: Float[Tensor, "... size"]
    upper: Float[Tensor, "... size"]
    below: Float[Tensor, "... size"]
    above: Float[Tensor, "... size"]
    parallel: bool
    even: bool
    coupling: Coupling | None = None

    def mapped(self, cut: Callable[[Tensor], Tensor]) -> "LinearRelaxation":
        """The lines of other inputs, or of other units, without their coupling."""
        upper = cut(self.upper)
        below = cut(self.below)
        lower = upper if self.parallel else cut(self.lower)
        above = below if self.even else cut(self.above)
        return replace(self, lower=lower, upper=upper, below=below, above=above, coupling=None)

    def at(self, which: Int[Tensor, " m"] | slice) -> "LinearRelaxation":
        """The lines of some of the inputs."""
        coupling = None if self.coupling is None else self.coupling.at(which)
        return replace(self.mapped(lambda values: values[which]), coupling=coupling)

    def unbind(self) -> list["LinearRelaxation"]:
        """The lines along the first axis, one by one."""
        upper = self.upper.unbind(0)
        below = self.below.unbind(0)
        lower = upper if self.parallel else self.lower.unbind(0)
        above = below if self.even else self.above.unbind(0)
        parts = zip(lower, upper, below, above, strict=True)
        return [replace(self, lower=p[0], upper=p[1], below=p[2], above=p[3]) for p in parts]


def lines_of(
    z: Float[Tensor, "n size"],
    low: Float[Tensor, "n size"],
    high: Float[Tensor, "n size"],
    relaxation: Relaxation,
    leak: Float[Tensor, " size"] | None = None,
    *,
    level: Bool[Tensor, "n size"] | None = None,
    slack: Float[Tensor, "n size"] | float = 0.0,
    unit: float = 0.0,
) -> tuple[LinearRelaxation, Float[Tensor, "n size"]]:
    """The lines, seen from the values z; and what the units give there, the middle of both lines.

    level: units that get a level upper line, at what they give at most ("kw": a lower one, too).
    Slopes and offsets are rounded to the safe side. Lines of units that can be active are moved
    apart by `slack`, for the rounding errors of everything that is computed from them, and by
    `unit` of their distance, for sums over units. Differentiable.
    """
    open_ = crossing(low, high, leak)
    safe = 1 + 8 * torch.finfo(z.dtype).eps
    width = torch.where(open_, high - low, 1.0)
    on = (low >= 0).to(z.dtype)
    upper = torch.where(open_, (high * safe / width).clamp_max(1), on)
    offset = torch.where(open_, -upper * low * safe, 0.0)
    lower = upper if relaxation == "kw" else torch.where(open_, (high > -low).to(z.dtype), on)
    if leak is not None:
        upper, lower = _leaking(leak, open_, on, upper, lower, safe)
        offset = torch.where(open_, (leak - upper) * low * safe, 0.0)
    if level is not None:
        upper = upper.masked_fill(level, 0.0)
        offset = torch.where(level, _given(high, leak), offset)
    if relaxation == "kw":
        lower = upper
        least = 0.0 if level is None else torch.where(level, _given(low, leak), 0.0)
        half = (offset - least) / 2
        middle = lower * z + least + half
    else:
        half = (upper * z + offset - lower * z) / 2
        middle = lower * z + half
    apart = half + unit * half.abs() + slack * _alive(high, leak)
    lines = LinearRelaxation(lower, upper, apart, apart, parallel=relaxation == "kw", even=True)
    return lines, middle


def _given(z: Tensor, leak: Tensor | None) -> Tensor:
    """What units give at z."""
    return z.clamp_min(0) if leak is None else torch.where(z > 0, z, leak * z)


def _leaking(
    leak: Tensor, open_: Tensor, on: Tensor, upper: Tensor, lower: Tensor, safe: float
) -> tuple[Tensor, Tensor]:
    """Slopes of units with a leak from those of ReLUs; the upper ones are rounded up."""
    settled = torch.where(on > 0, on, leak)
    tilted = ((leak + (1 - leak) * upper) * safe).clamp_max(1)
    lowest = torch.where(lower > 0, 1.0, leak)
    return torch.where(open_, tilted, settled), torch.where(open_, lowest, settled)


def _alive(high: Tensor, leak: Tensor | None) -> Tensor:
    """Whether a unit gives anything but 0 somewhere."""
    alive = ~(high <= 0)
    return alive if leak is None else alive | (leak > 0)
