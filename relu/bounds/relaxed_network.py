"""Networks relaxed over balls: every unit between two lines, from the first layer upwards."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.bounds.ball import Ball
from relu.bounds.relaxation import LinearRelaxation
from relu.network.activation import activated
from relu.network.layers import Layer

Bounds = Sequence[tuple[Tensor, Tensor]]
"""lower and upper bounds of the pre-activations of each hidden layer"""


@dataclass(frozen=True, eq=False)
class HiddenBounds:
    """Of a layer's pre-activations. level: units that get a level upper line; None: none."""

    low: Float[Tensor, "n size"]
    high: Float[Tensor, "n size"]
    level: Bool[Tensor, "n size"] | None = None


@dataclass(frozen=True, eq=False)
class RelaxedNetwork:
    """Networks relaxed over balls: bounds of each hidden layer's pre-activations, and their lines.

    reference: pre-activations where the ball's center goes through the middles of the lines, up
    to the logits. unit: the relative rounding error of sums (0 in float32, where nothing is
    proven). level: units between level lines, or below one; None: none of the layer. rounding:
    how far logits may be off.
    """

    layers: Sequence[Layer]
    ball: Ball
    unit: float
    low: tuple[Float[Tensor, "n _"], ...]
    high: tuple[Float[Tensor, "n _"], ...]
    level: tuple[Bool[Tensor, "n _"] | None, ...]
    lines: tuple[LinearRelaxation, ...]
    reference: tuple[Float[Tensor, "n _"], ...]
    rounding: Float[Tensor, "n k"]

    @property
    def bounds(self) -> Bounds:
        return list(zip(self.low, self.high, strict=True))

    @property
    def hidden(self) -> list[HiddenBounds]:
        """The bounds of each hidden layer, and which units have level lines."""
        parts = zip(self.low, self.high, self.level, strict=True)
        return [HiddenBounds(low, high, level) for low, high, level in parts]

    @property
    def next(self) -> Layer:
        """The first layer without bounds."""
        return self.layers[len(self.lines)]

    def uncoupled(self) -> "RelaxedNetwork":
        """Without what is known of all units of a layer together: weaker and cheaper."""
        return replace(self, lines=tuple(replace(lines, coupling=None) for lines in self.lines))

    def at(self, which: Int[Tensor, " m"] | slice) -> "RelaxedNetwork":
        """That of some of the inputs."""

        def taken(values: Tensor) -> Tensor:
            return values[which]

        return replace(
            self,
            ball=Ball(taken(self.ball.center), self.ball.deltas.at(which)),
            low=tuple(map(taken, self.low)),
            high=tuple(map(taken, self.high)),
            level=tuple(None if units is None else units[which] for units in self.level),
            lines=tuple(lines.at(which) for lines in self.lines),
            reference=tuple(map(taken, self.reference)),
            rounding=taken(self.rounding),
        )


def least_output(
    layer: Layer,
    low: Float[Tensor, "n size"],
    lines: LinearRelaxation,
    level: Bool[Tensor, "n size"] | None,
) -> Float[Tensor, "n size"]:
    """The least that lower lines say of a layer's units."""
    least = lines.lower * low
    return least if level is None else torch.where(level, activated(layer, low), least)


def with_rounding(lost: Tensor, unit: float) -> Tensor:
    """What is lost, increased by the relative rounding error of sums."""
    return lost + unit * lost.abs() if unit else lost
