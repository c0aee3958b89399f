"""Best-first search through the linear regions around inputs [CAH19, Theorem 3.1, Appendix A].

Every explored region contributes its hyperplanes. The nearest one left is taken up:

- that of a hidden unit: the region behind it, with this unit switched, is explored next;
- that of another class: the nearest point behind it is tried. If it is adversarial, nothing is
  nearer; if not (it lies outside the region), its distance limits `low` and the search goes on.

Why `low` = min(distance of the nearest hidden hyperplane left, those of all decision hyperplanes
so far) is sound: take the segment from x to the nearest adversarial point z*, at which the label
ties, and suppose that ||z* - x|| < low. Let t be its last point in the union of the explored
(closed) regions, in region R say, and R' the region that it enters there. Let u be the lowest unit
in which R and R' differ (units that are 0 all over R aside, whose activity makes no difference).
Below u both are the same affine map, so u's hyperplane in R contains t and is nearer than low;
hence it was taken up, the region with u switched is explored, and as u is 0 at t, t lies in it as
well. It differs from R' in one unit less; so R' is explored after all, a contradiction unless
t = z*. But then z* lies on a decision hyperplane of an explored region.

A hyperplane of a region counts as no nearer than the one that was crossed to get there. Of all
explored regions that contain t, take the earliest: what is taken up comes in increasing order, so
had it been entered at more than ||t - x||, t would lie in a region that was explored before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.batching import at_once
from relu.classes import margins
from relu.network.layers import Layer
from relu.regions.hyperplanes import Planes, distance_to, normals, planes_of, point_beyond
from relu.regions.region import Region, affine_map, region_of, with_pattern
from relu.threat import Threat

HELD = 2**25  # hyperplanes of inputs that are searched together, 26 bytes each
AT_ONCE = 8  # nearest hyperplanes whose distances inside the box are computed together


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search proved: no adversarial point nearer than low; one at `point` (NaN: none)."""

    low: Float[Tensor, " n"]
    high: Float[Tensor, " n"]
    point: Float[Tensor, "n d"]

    def only(self, i: int) -> "Found":
        """What is found about one input."""
        one = slice(i, i + 1)
        return Found(low=self.low[one], high=self.high[one], point=self.point[one])


def search(
    layers: Sequence[Layer],
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    *,
    threat: Threat,
    neighbours: int,
    enough: Float[Tensor, " n"] | None = None,
) -> Found:
    """Bounds on the radius of each x, all in float64, from its region and `neighbours` more.

    x lies in the box. A search ends early where its low reaches `enough`. An x that is
    misclassified is its own witness. Norm and box are the threat's; its eps plays no part.
    """
    assert bool(threat.in_box(x).all())
    stop = torch.full_like(x[:, 0], torch.inf) if enough is None else enough
    planes = sum(layer.size for layer in layers) * (neighbours + 1)
    parts = []
    for rows in torch.arange(len(x), device=x.device).split(max(1, HELD // planes)):
        state = _State(layers, x[rows], y[rows], threat, neighbours)
        active = torch.arange(len(rows), device=x.device)
        while len(active):
            active = state.advance(active, stop[rows])
        parts.append(state.result())
    return joined(parts)


def joined(parts: Sequence[Found]) -> Found:
    """What is found about all inputs of the parts."""
    return Found(
        low=torch.cat([part.low for part in parts]),
        high=torch.cat([part.high for part in parts]),
        point=torch.cat([part.point for part in parts]),
    )


class Places(NamedTuple):
    """Hyperplanes: each of an input, of one of its regions, by its number there."""

    input: Int[Tensor, " m"]
    region: Int[Tensor, " m"]
    plane: Int[Tensor, " m"]

    def only(self, which: Bool[Tensor, " m"]) -> "Places":
        return Places(*(axis[which] for axis in self))

    def split(self, size: int) -> Iterator["Places"]:
        """In parts of so many."""
        return (Places(*parts) for parts in zip(*(axis.split(size) for axis in self), strict=True))


class Next(IntEnum):
    """What becomes of an input's nearest hyperplane."""

    NOTHING = 0  # it is farther than what decides: the search is over
    MEASURE = 1  # its distance inside the box is to be found first
    TRY = 2  # a class overtakes the label behind it
    CROSS = 3  # a hidden unit switches on it: a region is behind


class _State:
    """Regions (axis r) of inputs (axis n) and their hyperplanes (axis p).

    count: regions explored. pattern: theirs. low: distances of the hyperplanes that are left;
    boxed: whether inside the box. gap, error: their affine forms. limit: the nearest decision
    hyperplane that was taken up. high, point: the nearest adversarial input.
    """

    def __init__(
        self, layers: Sequence[Layer], x: Tensor, y: Tensor, threat: Threat, neighbours: int
    ) -> None:
        self.layers = layers
        self.x = x
        self.y = y
        self.threat = threat
        region = region_of(layers, x)
        planes = planes_of(region, y, threat)
        n, p = planes.gap.shape
        self.units = region.starts[-1]
        shape = (n, neighbours + 1, p)
        self.count = torch.zeros(n, dtype=torch.long, device=x.device)
        self.pattern = x.new_zeros((n, neighbours + 1, self.units), dtype=torch.bool)
        self.low = x.new_full(shape, torch.inf)
        self.boxed = torch.zeros(shape, dtype=torch.bool, device=x.device)
        self.gap = x.new_zeros(shape)
        self.error = x.new_zeros(shape)
        self.limit = x.new_full((n,), torch.inf)
        self.high = x.new_full((n,), torch.inf)
        self.point = torch.full_like(x, torch.nan)
        self._explore(torch.arange(n, device=x.device), region, planes, self.limit.new_zeros(n))
        wrong = margins(region.logits, y) <= 0
        self.low[wrong] = torch.inf
        self.limit[wrong] = 0.0
        self.high[wrong] = 0.0
        self.point[wrong] = x[wrong]

    def _explore(self, which: Tensor, region: Region, planes: Planes, reached: Tensor) -> None:
        """Adds one region to each input of `which`, entered at the distance `reached`."""
        r = self.count[which]
        self.count[which] += 1
        self.pattern[which, r] = region.pattern
        self.low[which, r] = planes.low.maximum(reached.unsqueeze(1))
        self.gap[which, r] = planes.gap
        self.error[which, r] = planes.error

    def advance(self, active: Tensor, stop: Tensor) -> Tensor:
        """Takes up the nearest hyperplane of each input; those that are not done yet."""
        planes = self.low.shape[2]
        left = self.low[active].flatten(1)
        value, index = left.topk(min(AT_ONCE, left.shape[1]), dim=1, largest=False)
        r = index // planes
        p = index % planes
        boxed = self.boxed[active.unsqueeze(1), r, p]
        nearest = Places(active, r[:, 0], p[:, 0])
        step = self._next(nearest, value[:, 0], boxed[:, 0], stop)
        # what comes next is measured along with it, a few at once
        ahead = (step == Next.MEASURE).unsqueeze(1) & ~boxed & value.isfinite()
        self._measure(Places(active.unsqueeze(1).expand_as(r)[ahead], r[ahead], p[ahead]))
        self._try(nearest.only(step == Next.TRY))
        full = (step == Next.CROSS) & (self.count[active] == self.low.shape[1])
        self._cross(nearest.only((step == Next.CROSS) & ~full))
        return active[(step != Next.NOTHING) & ~full]

    def _next(self, nearest: Places, value: Tensor, boxed: Tensor, stop: Tensor) -> Tensor:
        """What becomes of each input's nearest hyperplane, at the distance `value`."""
        over = value >= torch.minimum(self.high, stop)[nearest.input]
        over |= value.isinf()
        hidden = nearest.plane < self.units
        step = torch.where(hidden, int(Next.CROSS), int(Next.TRY))
        step = torch.where(boxed, step, int(Next.MEASURE))
        return torch.where(over, int(Next.NOTHING), step)

    def _normals(self, places: Places) -> Tensor:
        n = places.input
        region = with_pattern(self.layers, self.x[n], self.pattern[n, places.region])
        return normals(region, self.y[n], places.plane)

    def _measure(self, places: Places) -> None:
        """Replaces distances by those inside the box, which are larger."""
        for at in places.split(max(1, at_once(self.x.device) // self.x.shape[1])):
            gap = self.gap[at]
            error = self.error[at]
            x = self.x[at.input]
            distance = distance_to(x, self._normals(at), gap, error, self.threat)
            self.low[at] = distance.maximum(self.low[at])
            self.boxed[at] = True

    def _try(self, places: Places) -> None:
        """Takes up decision hyperplanes: they limit low, and what is behind may be adversarial."""
        n = places.input
        if not len(n):
            return
        self.limit[n] = self.limit[n].minimum(self.low[places])
        self.low[places] = torch.inf
        self._keep(places)

    def _keep(self, places: Places) -> None:
        """Keeps the nearest points behind these hyperplanes where they are adversarial."""
        n = places.input
        gap = self.gap[places]
        error = self.error[places]
        z = point_beyond(self.x[n], self._normals(places), gap, error, self.threat)
        fooled = margins(region_of(self.layers, z).logits, self.y[n]) <= 0  # NaN is not
        distance = self.threat.distance(self.x[n], z)
        better = fooled & (distance < self.high[n])
        self.high[n[better]] = distance[better]
        self.point[n[better]] = z[better]

    def _cross(self, places: Places) -> None:
        """Takes up hidden hyperplanes: explores the regions behind them, unless they are known."""
        n, _, p = places
        if not len(n):
            return
        pattern = self.pattern[n, places.region]
        pattern[torch.arange(len(n), device=n.device), p] ^= True
        reached = self.low[places]
        self.low[places] = torch.inf
        new = ~self._is_known(n, pattern)
        if not bool(new.any()):
            return
        self._enter(n[new], p[new], pattern[new], reached[new])

    def _is_known(self, n: Tensor, pattern: Tensor) -> Tensor:
        """Whether the regions with these patterns are explored already, each of its input."""
        known = (self.pattern[n] == pattern.unsqueeze(1)).all(2)
        known &= torch.arange(known.shape[1], device=n.device) < self.count[n].unsqueeze(1)
        return known.any(1)

    def _enter(self, n: Tensor, p: Tensor, pattern: Tensor, reached: Tensor) -> None:
        """Explores regions behind the hyperplanes p, which are not crossed back."""
        region = with_pattern(self.layers, self.x[n], pattern)
        region = affine_map(self.layers, region.x, region.slopes)
        planes = planes_of(region, self.y[n], self.threat)
        back = planes.low.scatter(1, p.unsqueeze(1), torch.inf)
        self._explore(n, region, replace(planes, low=back), reached)

    def result(self) -> Found:
        """The bounds; for `high`, the nearest decision hyperplane of each region is tried too."""
        low = self.low.flatten(1).amin(1).minimum(self.limit)
        for r in range(self.low.shape[1]):
            value, p = self.low[:, r, self.units :].min(1)
            n = (value < self.high).nonzero().squeeze(1)
            self._keep(Places(n, torch.full_like(n, r), p[n] + self.units))
        return Found(low=low, high=self.high, point=self.point)
