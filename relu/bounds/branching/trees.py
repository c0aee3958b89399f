"""Lower bounds of forms by branch and bound: a tree of boxes for each form, all side by side.

A tree's bound is the least of its leaves' bounds; each round splits the leaf that has it. Where a
limit is at most 0 is all that bounds may be asked of, as elsewhere (relu/bounds/reduced/ascent.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.bounds.branching.deadline import Deadline
from relu.bounds.branching.splitting import children, losses
from relu.bounds.reduced.ascent import Limit, ascended, limited
from relu.bounds.reduced.boxes import Boxes, Slopes, boxes_of, crown_slopes
from relu.bounds.reduced.dual import bounded, carried, safe_bounds, with_level_lines
from relu.bounds.reduced.forms import Forms
from relu.bounds.reduced.precisions import Networks

ROOT_STEPS = 10
STEPS = 3
LAST_STEPS = 100  # of a leaf that cannot be split

Settled = Callable[[Float[Tensor, " m"]], Bool[Tensor, " m"]]
"""which forms' bounds are good enough"""


@dataclass(frozen=True, eq=False)
class _Leaves:
    """Of each chosen form its least leaf: which form, the leaf's place, box, slopes and bound."""

    which: Int[Tensor, " k"]
    places: Int[Tensor, " k"]
    boxes: Boxes
    slopes: Slopes
    bounds: Float[Tensor, " k"]

    def at(self, some: Int[Tensor, " j"]) -> "_Leaves":
        return _Leaves(
            self.which[some],
            self.places[some],
            self.boxes.at(some),
            self.slopes.at(some),
            self.bounds[some],
        )


class Trees:
    """A tree for each of m forms, with a place for as many leaves as rounds may give it.

    Bounds are proven in float64; boxes and slopes of leaves are float32.
    """

    def __init__(
        self, nets: Networks, asked: Forms, *, rounds: int, limit: Limit | None = None
    ) -> None:
        self.nets = nets
        self.asked = asked
        self.limit = limit
        m = len(asked.offset)
        boxes = nets.whole(m)
        # low, high, alpha and beta of each leaf
        self.leaves = boxes.low.new_zeros(4, len(boxes.low), m, rounds + 1)
        self.bounds = asked.offset.new_full((m, rounds + 1), torch.inf)
        self.weights = torch.zeros_like(self.bounds, dtype=torch.float32)
        if limit is not None:
            self.weights[:, 0] = limit.start
        self.last = torch.zeros_like(self.bounds, dtype=torch.bool)
        self.grown = 0
        every = torch.arange(m, device=boxes.low.device)
        start = crown_slopes(boxes.low, boxes.high)
        start = with_level_lines(nets.quick, asked.to(torch.float32), boxes, start)
        below = torch.full_like(asked.offset, -torch.inf)
        self._put(every, torch.zeros_like(every), boxes, start, below, ROOT_STEPS)

    @property
    def least(self) -> Float[Tensor, " m"]:
        """The forms' bounds."""
        return self.bounds.amin(1)

    def grow(self, settled: Settled) -> bool:
        """Splits a leaf of each form that is not settled; whether there was one to split.

        The least leaf of a form may have no unit to split: it is bounded once more, by more steps.
        """
        least, places = self.bounds.min(1)
        which = (~settled(least) & ~self.last.gather(1, places.unsqueeze(1)).squeeze(1)).nonzero()
        which = which.squeeze(1)
        if not len(which):
            return False
        places = places[which]
        low, high, alpha, beta = self.leaves[:, :, which, places]
        boxes = boxes_of(low, high, self.nets.quick.leak)
        leaves = _Leaves(which, places, boxes, Slopes(alpha, beta), least[which])
        self.grown += 1
        whole = ~boxes.open.any(0)
        self._split(leaves.at((~whole).nonzero().squeeze(1)))
        self._finish(leaves.at(whole.nonzero().squeeze(1)))
        return True

    def _finish(self, leaves: _Leaves) -> None:
        if len(leaves.which):
            self._put(
                leaves.which, leaves.places, leaves.boxes, leaves.slopes, leaves.bounds, LAST_STEPS
            )
            self.last[leaves.which, leaves.places] = True

    def _split(self, leaves: _Leaves) -> None:
        which = leaves.which
        if not len(which):
            return
        net = self.nets.quick
        weights = self.weights[which, leaves.places]
        asked = self._limited(which, weights).to(torch.float32)
        now = bounded(net, asked, leaves.boxes, leaves.slopes)
        costs = torch.where(leaves.boxes.open, losses(now.v, leaves.boxes), -1.0)
        parts = children(leaves.boxes, costs.argmax(0))
        both = torch.arange(len(which), device=which.device).repeat(2)
        start = carried(
            net, asked.at(both), parts, leaves.slopes.at(both), now.multipliers[:, both]
        )
        last = torch.full_like(which, self.grown)
        self.weights[which, last] = weights
        places = torch.cat([leaves.places, last])
        self._put(which[both], places, parts, start, leaves.bounds[both], STEPS)

    def _limited(self, which: Int[Tensor, " k"], weights: Float[Tensor, " k"]) -> Forms:
        """Forms plus so many times their limits."""
        asked = self.asked.at(which)
        if self.limit is None:
            return asked
        return limited(asked, self.limit.forms.at(which), weights.double())

    def _limit(self, which: Int[Tensor, " k"], weights: Float[Tensor, " k"]) -> Limit | None:
        """Forms' limits in single precision, to begin with these multipliers."""
        if self.limit is None:
            return None
        limit = self.limit.at(which)
        return replace(limit, forms=limit.forms.to(torch.float32), start=weights)

    def _put(
        self,
        which: Int[Tensor, " k"],
        places: Int[Tensor, " k"],
        boxes: Boxes,
        start: Slopes,
        below: Float[Tensor, " k"],
        steps: int,
    ) -> None:
        """Leaves of forms, bounded by so many steps of ascent; below: bounds that they have."""
        weights = self.weights[which, places]
        found = ascended(
            self.nets.quick,
            self.asked.at(which).to(torch.float32),
            boxes,
            start,
            steps=steps,
            limit=self._limit(which, weights),
        )
        proven = safe_bounds(
            self.nets.exact,
            self._limited(which, found.limit),
            boxes.low.double(),
            boxes.high.double(),
            found.multipliers.double(),
        )
        empty = (boxes.low > boxes.high).any(0)
        proven = proven.nan_to_num(-torch.inf, torch.inf, -torch.inf)
        proven = torch.where(empty, torch.inf, proven).maximum(below)
        self.bounds[which, places] = proven
        self.weights[which, places] = found.limit
        leaves = torch.stack([boxes.low, boxes.high, found.slopes.alpha, found.slopes.beta])
        self.leaves[:, :, which, places] = leaves


def grown(trees: Trees, *, rounds: int, settled: Settled, deadline: Deadline) -> None:
    """Lets trees grow for so many rounds, until all is settled, or until time is over."""
    for _ in range(rounds):
        if deadline.passed or not trees.grow(settled):
            return
