"""The exact radius of one input: the search of `relu.regions.search` with the cells themselves.

Hyperplanes reach beyond the regions they belong to. Where the nearest one left does, the region
behind it, or the part of the region that the other class wins, is measured instead
(`relu.regions.polytope`) and goes back into the queue at its own distance; empty ones leave it. So
the queue's head is a lower bound at any time, and the search ends: regions are finitely many. Why
the bound is sound is told in `relu.regions.search`; a region at its own distance is one that is
entered late.
"""

import heapq
import itertools
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.classes import gaps, margins
from relu.network.layers import Layer
from relu.regions.hyperplanes import Planes, distance_to, normals, planes_of, point_beyond
from relu.regions.polytope import VIOLATED, Constraints, nearest_in_cell
from relu.regions.region import Region, affine_map, region_of, with_pattern
from relu.regions.search import Found
from relu.threat import Threat

INSETS = (1e-9, 1e-8, 1e-7)  # how far inside its cell a witness is sought, in turn


def complete(
    layers: Sequence[Layer],
    x: Float[Tensor, "1 d"],
    y: Int[Tensor, " 1"],
    *,
    threat: Threat,
    start: Found,
    seconds: float,
    enough: float = torch.inf,
) -> tuple[Found, bool]:
    """The radius of one input, float64; False if time or the solver gave out before.

    x is correctly classified. `start` is what is known already; its low is only improved on. The
    search ends early where the low reaches `enough`.
    """
    search = _Search(layers, x, y, threat, start)
    finished = search.run(time.monotonic() + seconds, enough)
    low = start.low.maximum(start.low.new_tensor([search.low]))
    return Found(low=low, high=search.high, point=search.point), finished


class _Node:
    """A region that was reached: its hyperplanes, nearest first."""

    def __init__(self, region: Region, planes: Planes, reached: float) -> None:
        self.region = region
        self.planes = planes
        self.reached = reached
        self.low, self.order = planes.low[0].sort()


class _NextPlane(NamedTuple):
    """The hyperplane of this rank of a region, whose distance inside the box is not known yet."""

    node: _Node
    rank: int


class _Plane(NamedTuple):
    """A hyperplane of a region, by its number, at its distance inside the box."""

    node: _Node
    number: int


class _Behind(NamedTuple):
    """A region with this pattern behind a hyperplane, at its own distance."""

    pattern: Bool[Tensor, " p"]


class _Lost(NamedTuple):
    """The part of a region that another class wins; solved: at its distance, not just a bound."""

    solved: bool


_Event = _NextPlane | _Plane | _Behind | _Lost


class _Search:
    """A queue of events by their distance from x, the nearest of which is taken up next."""

    def __init__(
        self, layers: Sequence[Layer], x: Tensor, y: Tensor, threat: Threat, start: Found
    ) -> None:
        self.layers = layers
        self.x = x
        self.y = y
        self.threat = threat
        self.high = start.high.clone()
        self.point = start.point.clone()
        self.low = 0.0
        self.seen: set[bytes] = set()  # patterns explored
        self.measured: set[bytes] = set()
        self.queue: list[tuple[float, int, _Event]] = []
        self.ticket = itertools.count()
        region = region_of(layers, x)
        self.units = region.starts[-1]
        self._explore(region.pattern[0], 0.0)

    def run(self, deadline: float, enough: float) -> bool:
        while self.queue:
            value, _, event = heapq.heappop(self.queue)
            self.low = value
            if isinstance(event, _Lost):
                return event.solved
            if value >= min(float(self.high), enough):
                return True
            if time.monotonic() > deadline:
                return False
            if isinstance(event, _Behind):
                self._explore(event.pattern, value)
            elif isinstance(event, _NextPlane):
                self._next(event.node, event.rank)
            elif event.number < self.units:
                self._cross(event.node, event.number, value)
            elif self._overtaken(event.node, event.number, value):
                return True
        self.low = torch.inf  # no class ever overtakes the label
        return True

    def _push(self, value: float, event: _Event) -> None:
        if value < torch.inf:
            heapq.heappush(self.queue, (value, next(self.ticket), event))

    def _explore(self, pattern: Bool[Tensor, " p"], reached: float) -> None:
        """Takes up a region."""
        key = pattern.numpy(force=True).tobytes()
        if key in self.seen:
            return
        self.seen.add(key)
        region = self._region(pattern)
        node = _Node(region, planes_of(region, self.y, self.threat), reached)
        self._push(max(reached, float(node.low[0])), _NextPlane(node, 0))

    def _region(self, pattern: Tensor) -> Region:
        return affine_map(
            self.layers, self.x, with_pattern(self.layers, self.x, pattern[None]).slopes
        )

    def _next(self, node: _Node, rank: int) -> None:
        """Takes up the next hyperplane of a region: its distance inside the box."""
        if rank + 1 < len(node.low):
            distance = max(node.reached, float(node.low[rank + 1]))
            self._push(distance, _NextPlane(node, rank + 1))
        i = int(node.order[rank])
        normal = normals(node.region, self.y, node.order[rank][None])
        gap = node.planes.gap[:, i]
        error = node.planes.error[:, i]
        inside = distance_to(self.x, normal, gap, error, self.threat)
        self._push(max(node.reached, float(inside)), _Plane(node, i))

    def _cross(self, node: _Node, unit: int, value: float) -> None:
        """Takes up the region behind a hidden unit's hyperplane, at its own distance."""
        pattern = node.region.pattern[0]
        pattern[unit] ^= True
        key = pattern.numpy(force=True).tobytes()
        if key in self.seen or key in self.measured:  # measured at a smaller value: in the queue
            return
        self.measured.add(key)
        region = self._region(pattern)
        low, _ = self._cell(region, planes_of(region, self.y, self.threat), None)
        self._push(max(value, low), _Behind(pattern))

    def _overtaken(self, node: _Node, plane: int, value: float) -> bool:
        """Whether the nearest point behind a decision hyperplane is adversarial; else its cell."""
        gap = node.planes.gap[:, plane]
        error = node.planes.error[:, plane]
        normal = normals(node.region, self.y, torch.tensor([plane], device=self.x.device))
        if self._keep(point_beyond(self.x, normal, gap, error, self.threat)):
            return True
        low, z = self._cell(node.region, node.planes, plane - self.units)
        self._push(max(value, low), _Lost(solved=z is not None))
        for inset in INSETS if z is not None else ():
            _, inner = self._cell(node.region, node.planes, plane - self.units, inset=inset)
            if inner is not None and self._keep(inner[None]):
                return False
        if z is not None:
            self._keep(z[None])  # classes that do no more than tie
        return False

    def _keep(self, z: Tensor) -> bool:
        """Whether z is adversarial; if it is nearer than what was known, it is kept."""
        if bool(z.isnan().any()) or bool(margins(region_of(self.layers, z).logits, self.y) > 0):
            return False
        distance = self.threat.distance(self.x, z)
        if bool(distance < self.high):
            self.high = distance
            self.point = z
        return True

    def _cell(
        self, region: Region, planes: Planes, other_class: int | None, *, inset: float = 0.0
    ) -> tuple[float, Tensor | None]:
        """Proven distance to a region, or to the part of it that another class wins."""
        signs = 2 * region.pattern[0].to(self.x.dtype) - 1
        if other_class is not None:
            signs = torch.cat([signs, -signs.new_ones(1)])
        numbers = torch.arange(len(signs), device=signs.device)
        numbers[self.units :] += other_class or 0
        gap = planes.gap[0, numbers] * signs
        length = planes.length[0, numbers]
        error = planes.error[0, numbers]
        # A form whose normal is nothing but rounding (no more than 10 times its error in any entry)
        # varies by less than so many errors over the box.
        varies = torch.where(length > 0, torch.inf, (1 + 11 * self.x.shape[1]) * error)
        varies = torch.where(planes.low[0, numbers].isinf(), error, varies)
        if bool((gap < -varies).any()):
            return torch.inf, None  # a constant with the wrong sign: there is no such region

        def violated(z: Tensor) -> Tensor:
            at = affine_map(self.layers, z[None], region.slopes)
            values = torch.cat([*at.z, gaps(at.logits, self.y)], dim=1)[0][numbers] * signs
            depth = torch.where(length > 0, -values / length, -torch.inf)
            worst = depth.argsort(descending=True)
            return worst[depth[worst] > VIOLATED - inset]

        def constraints(which: Tensor) -> Constraints:
            picked = numbers[which]
            repeated = region.at(torch.zeros_like(picked))
            rows = normals(repeated, self.y.expand(len(picked)), picked)
            return Constraints(rows * signs[which, None], gap[which], error[which])

        return nearest_in_cell(self.x[0], violated, constraints, self.threat, inset=inset)
