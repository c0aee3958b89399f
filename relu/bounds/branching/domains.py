"""Domains of a search: another class, and a box of pre-activations; alone, and side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.bounds.reduced.boxes import Boxes, Slopes, boxes_of


@dataclass(frozen=True)
class Split:
    """A domain's part in which a unit (by its number among all) is active, or inactive."""

    unit: int
    active: bool


@dataclass(frozen=True, eq=False)
class Tightening:
    """What proves bounds of units, where a margin is at most 0.

    multipliers: for each unit those of its form, then for each those of its negative (upper
    bounds); margin: how often the margin is added to each of these forms.
    """

    units: Int[Tensor, " k"]
    multipliers: Float[Tensor, "N k2"]
    margin: Float[Tensor, " k2"]


Step = Split | Tightening


@dataclass(frozen=True, eq=False)
class Leaf:
    """A closed domain: how it came about from the whole ball, and what proves it.

    rival: the place of the other class among those that were asked about. multipliers: of the
    margin's form; None: the box is empty.
    """

    rival: int
    steps: tuple[Step, ...]
    multipliers: Float[Tensor, " N"] | None


@dataclass(frozen=True, eq=False)
class Domain:
    """An open domain: its box, slopes of its bound, that bound, and how it came about."""

    rival: int
    low: Float[Tensor, " N"]
    high: Float[Tensor, " N"]
    alpha: Float[Tensor, " N"]
    beta: Float[Tensor, " N"]
    bound: float
    steps: tuple[Step, ...]


@dataclass(frozen=True, eq=False)
class Domains:
    """Domains side by side."""

    rivals: Int[Tensor, " m"]
    boxes: Boxes
    slopes: Slopes
    steps: Sequence[tuple[Step, ...]]

    def __len__(self) -> int:
        return len(self.steps)

    def at(self, which: Int[Tensor, " k"]) -> "Domains":
        """Some of them."""
        steps = [self.steps[i] for i in which.tolist()]
        return Domains(self.rivals[which], self.boxes.at(which), self.slopes.at(which), steps)

    def alone(self, bounds: Float[Tensor, " m"]) -> list[Domain]:
        """One by one, with their bounds."""
        boxes = self.boxes
        slopes = self.slopes
        return [
            Domain(
                rival=rival,
                low=boxes.low[:, i].clone(),
                high=boxes.high[:, i].clone(),
                alpha=slopes.alpha[:, i].clone(),
                beta=slopes.beta[:, i].clone(),
                bound=bound,
                steps=self.steps[i],
            )
            for i, (rival, bound) in enumerate(
                zip(self.rivals.tolist(), bounds.tolist(), strict=True)
            )
        ]


def side_by_side(domains: Sequence[Domain], leak: Float[Tensor, " N"]) -> Domains:
    """The inverse of `Domains.alone`."""

    def table(columns: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(columns), 1)

    return Domains(
        torch.tensor([domain.rival for domain in domains], device=leak.device),
        boxes_of(
            table([domain.low for domain in domains]),
            table([domain.high for domain in domains]),
            leak,
        ),
        Slopes(
            table([domain.alpha for domain in domains]),
            table([domain.beta for domain in domains]),
        ),
        [domain.steps for domain in domains],
    )
