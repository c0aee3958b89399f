"""The radius of one input by exact answers about balls: where to ask, and what replies tell."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from evaluators._replies import ENDS, Found, Reply, said
from evaluators.interface import EXACT, Status, exact_at

GROWTH = 2.0  # of the radius, while no adversarial input is known
BESIDE = 1.1  # by what factor a radius is moved at which a margin is just 0
NARROW = 1.05  # high / low from which what takes too long is left alone
WIDE = 1.5  # high / low from which a radius between them is asked about first


@dataclass
class RadiusSearch:
    """What is proven of a radius, and the next ball to ask about.

    A ball without an adversarial input raises low. One with gives a point, from which a descent
    through linear regions leads to a nearest one; then the ball just below that is asked about.
    Where that takes too long, smaller balls raise low at least.

    first: the radius that is asked about where nothing is known. reach: the largest there is.
    known: what others certify. low, high: what is proven; point: the witness at high, None where
    it is another's. ceiling: the smallest radius that took too long. beside: by what factor a
    radius is moved, below: how far from high it stays, as a margin was just 0 before.
    """

    first: float
    reach: float
    known: float
    high: float
    low: float = 0.0
    point: Tensor | None = None
    note: str = ""
    ceiling: float = math.inf
    beside: float = 1.0
    below: float = EXACT / 2
    failed: bool = False
    exhausted: bool = False

    def next_radius(self) -> float | None:
        """The radius to ask about; None where there is nothing to gain."""
        if self.failed or self.exhausted or exact_at(self.low, self.high):
            return None
        base = self._base()
        radius = self._radius(base)
        worthwhile = radius > self.low and self.ceiling >= NARROW * base
        return radius if worthwhile else None

    @property
    def _top(self) -> float:
        """The smallest radius at which there is nothing to ask: a witness, or too long a search."""
        return min(self.high, self.ceiling)

    def _base(self) -> float:
        """The largest radius that somebody certifies."""
        return max(self.low, self.known) if self.known < min(self._top, self.reach) else self.low

    def _radius(self, base: float) -> float:
        top = self._top
        if math.isinf(top):
            return min(max(GROWTH * base, self.first) * self.beside, self.reach)
        if self.ceiling < self.high or (self.point is None and top > WIDE * base):
            middle = math.sqrt(base * top) if base else top / 2
            return min(middle * self.beside, self.high - self.below)
        return self.high - self.below

    def take(
        self, radius: float, reply: Reply, nearer: Callable[[Tensor], tuple[Tensor, float]]
    ) -> None:
        """What the reply about a ball of this radius tells.

        nearer: an adversarial input near another, and its distance.
        """
        self.note = self.note or reply.note
        if reply.status == "certified":
            self.low = math.inf if radius >= self.reach else radius
            self.beside = 1.0
        elif reply.point is not None:
            self.point, self.high = nearer(reply.point)
        elif reply.status == "timeout":
            self.ceiling = radius
        elif reply.status == "failed":
            self.failed = True
        else:
            self._move_on(radius)

    def _move_on(self, radius: float) -> None:
        """From a radius at which a margin is 0 within tolerances."""
        if radius >= self.reach:
            self.exhausted = True
        elif radius == self.high - self.below:
            self.below *= 2
        else:
            self.beside *= BESIDE

    def result(self, *, late: bool) -> Found:
        """What is proven at the end; late: whether time was over."""
        end: tuple[str, Status] = ENDS["failed" if self.failed else "open"]
        if exact_at(self.low, self.high):
            end = "done: exact", "done"
        elif self.ceiling < math.inf or late:
            end = ENDS["timeout"]
        return Found(self.low, self.point, said(end[0], self.note), end[1])
