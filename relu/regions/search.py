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

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
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


class _State:
    """Regions (axis r) of inputs (axis n) and their hyperplanes (axis p)."""

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
        self.count = torch.zeros(n, dtype=torch.long, device=x.device)  # regions explored
        self.pattern = x.new_zeros((n, neighbours + 1, self.units), dtype=torch.bool)
        self.low = x.new_full(shape, torch.inf)  # of hyperplanes that are left
        self.boxed = torch.zeros(shape, dtype=torch.bool, device=x.device)
        self.gap = x.new_zeros(shape)
        self.error = x.new_zeros(shape)
        self.limit = x.new_full((n,), torch.inf)  # nearest decision hyperplane taken up
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
        done = value[:, 0] >= torch.minimum(self.high, stop)[active]
        done |= value[:, 0].isinf()
        near = ~done & ~boxed[:, 0]
        ahead = near.unsqueeze(1) & ~boxed & value.isfinite()
        self._box(torch.stack([active.unsqueeze(1).expand_as(r)[ahead], r[ahead], p[ahead]]))
        at = torch.stack([active, r[:, 0], p[:, 0]])
        hidden = p[:, 0] < self.units
        self._try(at[:, ~done & ~near & ~hidden])
        cross = ~done & ~near & hidden
        full = cross & (self.count[active] == self.low.shape[1])
        self._cross(at[:, cross & ~full])
        return active[~done & ~full]

    def _normals(self, at: Tensor) -> Tensor:
        n, r, p = at
        region = with_pattern(self.layers, self.x[n], self.pattern[n, r])
        return normals(region, self.y[n], p)

    def _box(self, planes: Tensor) -> None:
        """Replaces distances by those inside the box, which are larger."""
        for at in planes.split(max(1, at_once(self.x.device) // self.x.shape[1]), dim=1):
            n, r, p = at
            gap = self.gap[n, r, p]
            error = self.error[n, r, p]
            distance = distance_to(self.x[n], self._normals(at), gap, error, self.threat)
            self.low[n, r, p] = distance.maximum(self.low[n, r, p])
            self.boxed[n, r, p] = True

    def _try(self, at: Tensor) -> None:
        """Takes up decision hyperplanes: they limit low, and what is behind may be adversarial."""
        n, r, p = at
        if not len(n):
            return
        self.limit[n] = self.limit[n].minimum(self.low[n, r, p])
        self.low[n, r, p] = torch.inf
        self._keep(at)

    def _keep(self, at: Tensor) -> None:
        """Keeps the nearest points behind these hyperplanes where they are adversarial."""
        n, r, p = at
        gap = self.gap[n, r, p]
        error = self.error[n, r, p]
        z = point_beyond(self.x[n], self._normals(at), gap, error, self.threat)
        fooled = margins(region_of(self.layers, z).logits, self.y[n]) <= 0  # NaN is not
        distance = self.threat.distance(self.x[n], z)
        better = fooled & (distance < self.high[n])
        self.high[n[better]] = distance[better]
        self.point[n[better]] = z[better]

    def _cross(self, at: Tensor) -> None:
        """Takes up hidden hyperplanes: explores the regions behind them, unless they are known."""
        n, r, p = at
        if not len(n):
            return
        pattern = self.pattern[n, r]
        ranks = torch.arange(len(n), device=n.device)
        pattern[ranks, p] ^= True
        reached = self.low[n, r, p]
        self.low[n, r, p] = torch.inf
        known = (self.pattern[n] == pattern.unsqueeze(1)).all(2)
        known &= torch.arange(known.shape[1], device=n.device) < self.count[n].unsqueeze(1)
        new = ~known.any(1)
        n = n[new]
        p = p[new]
        pattern = pattern[new]
        reached = reached[new]
        if not len(n):
            return
        region = with_pattern(self.layers, self.x[n], pattern)
        region = affine_map(self.layers, region.x, region.active)
        planes = planes_of(region, self.y[n], self.threat)
        back = planes.low.scatter(1, p.unsqueeze(1), torch.inf)
        self._explore(n, region, replace(planes, low=back), reached)

    def result(self) -> Found:
        """The bounds; for `high`, the nearest decision hyperplane of each region is tried too."""
        low = self.low.flatten(1).amin(1).minimum(self.limit)
        for r in range(self.low.shape[1]):
            value, p = self.low[:, r, self.units :].min(1)
            n = (value < self.high).nonzero().squeeze(1)
            self._keep(torch.stack([n, torch.full_like(n, r), p[n] + self.units]))
        return Found(low=low, high=self.high, point=self.point)
