"""Branch and bound: whether some class wins or ties anywhere in the ball of one input.

A domain is another class s and a box of pre-activations of all units that may switch; it is closed
when f_y - f_s is proven positive wherever the units lie in the box, or no input has them there.
Everything that is proven of a domain is asked only where f_y - f_s <= 0: so boxes shrink with the
margin's bound, and the bound rises with the boxes, often to the end without any split.
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.batching import at_once
from relu.bounds.branching.ascent import ascended
from relu.bounds.branching.dual import (
    Boxes,
    Slopes,
    bounded,
    boxes_of,
    safe_bounds,
    true_points,
)
from relu.bounds.branching.reduced import Forms, ReducedNetwork
from relu.bounds.branching.splitting import best_splits, losses, split_boxes
from relu.bounds.branching.tightening import Networks, crown_slopes, outward, tightened
from relu.bounds.branching.deadline import Deadline

ROOT_STEPS = 20
STEPS = 6
TIGHTENED = 8  # units of a domain whose boxes are tightened
MOST = 64  # domains at once
HELD = 20_000  # domains that are kept; beyond, the deepest are taken first

Verdict = Literal["certified", "witness", "timeout", "open"]


@dataclass(frozen=True, eq=False)
class Domain:
    """rival: the place of the other class among those that are asked about."""

    rival: int
    low: Float[Tensor, " N"]
    high: Float[Tensor, " N"]
    alpha: Float[Tensor, " N"]
    beta: Float[Tensor, " N"]
    bound: float
    splits: tuple[tuple[int, bool], ...] = ()


@dataclass(frozen=True, eq=False)
class Result:
    """What a search found: a witness's perturbation, or how many domains it took.

    bound: the least bound of a margin that is open.
    """

    verdict: Verdict
    delta: Float[Tensor, " d"] | None
    domains: int
    bound: float


class Search:
    """Of one input."""

    def __init__(
        self,
        net: ReducedNetwork,
        y: int,
        others: Int[Tensor, " k"],
        is_witness: Callable[[Float[Tensor, " d"]], bool],
        deadline: Deadline,
    ) -> None:
        self.nets = Networks.of(net)
        self.margins = net.margins(y, others)
        self.quick_margins = self.margins.to(torch.float32)
        self.is_witness = is_witness
        self.deadline = deadline
        self.heap: list[tuple[float, int, Domain]] = []
        self.order = itertools.count()
        self.domains = 0
        self.delta: Tensor | None = None

    def result(self) -> Result:
        """Searches until all is closed, a witness is found, or time is over."""
        self._open_root()
        while self.heap and self.delta is None:
            if self.deadline.passed:
                return self._result("timeout")
            batch = [self._next() for _ in range(min(self._at_once, len(self.heap)))]
            if not self._worked_on(batch):
                return self._result("open")
        return self._result("certified" if self.delta is None else "witness")

    def _result(self, verdict: Verdict) -> Result:
        bound = self.heap[0][0] if self.heap else 0.0
        return Result(verdict, self.delta, self.domains, bound)

    @property
    def _at_once(self) -> int:
        numbers = at_once(self.margins.offset.device)
        return max(1, min(MOST, numbers // (2 * TIGHTENED * self.nets.exact.columns)))

    def _next(self) -> Domain:
        if len(self.heap) > HELD:
            return self.heap.pop()[2]
        return heapq.heappop(self.heap)[2]

    def _push(self, domain: Domain) -> None:
        heapq.heappush(self.heap, (domain.bound, next(self.order), domain))

    def _open_root(self) -> None:
        net = self.nets.exact
        m = len(self.margins.offset)
        low, high = outward(net.low, net.high)
        boxes = boxes_of(
            low.unsqueeze(1).expand(-1, m).contiguous(),
            high.unsqueeze(1).expand(-1, m).contiguous(),
            self.nets.quick.leak,
        )
        rivals = torch.arange(m, device=low.device)
        start = crown_slopes(boxes.low, boxes.high)
        self._bounded(rivals, boxes, start, [()] * m, ROOT_STEPS)

    def _worked_on(self, batch: list[Domain]) -> bool:
        """Splits domains and bounds their children; False: one cannot be split."""
        rivals = torch.tensor([domain.rival for domain in batch])
        boxes = boxes_of(
            torch.stack([domain.low for domain in batch], 1),
            torch.stack([domain.high for domain in batch], 1),
            self.nets.quick.leak,
        )
        slopes = Slopes(
            torch.stack([domain.alpha for domain in batch], 1),
            torch.stack([domain.beta for domain in batch], 1),
        )
        if not bool(boxes.open.any(0).all()):
            for domain in batch:
                self._push(domain)
            return False
        margins = self.quick_margins.at(rivals)
        v = bounded(self.nets.quick, margins, boxes, slopes).v
        units = best_splits(self.nets.quick, margins, boxes, slopes, v)
        parts = [split_boxes(boxes, units, active) for active in (True, False)]
        splits = [
            (*domain.splits, (unit, active))
            for active in (True, False)
            for domain, unit in zip(batch, units.tolist(), strict=True)
        ]
        both = torch.arange(len(batch)).repeat(2)
        low = torch.cat([part.low for part in parts], 1)
        high = torch.cat([part.high for part in parts], 1)
        self._tightened(rivals[both], boxes_of(low, high, self.nets.quick.leak), slopes.at(both), splits)
        return True

    def _tightened(self, rivals, boxes, slopes, splits) -> None:
        margins = self.quick_margins.at(rivals)
        now = bounded(self.nets.quick, margins, boxes, slopes)
        closed = self._closed(rivals, boxes, now.bound, now.multipliers)
        left = (~closed).nonzero().squeeze(1)
        self.domains += int(closed.sum())
        if not len(left):
            return
        rivals = rivals[left]
        boxes = boxes.at(left)
        slopes = slopes.at(left)
        splits = [splits[i] for i in left.tolist()]
        count = min(TIGHTENED, len(boxes.low))
        units = losses(now.v[:, left], boxes).topk(count, 0).indices
        exact = self.margins.at(rivals)
        reach = (self.quick_margins.offset[rivals] - now.bound[left]).clamp_min(1e-6)
        low, high, _ = tightened(self.nets, boxes, slopes, units, exact, reach)
        self._bounded(rivals, boxes_of(low, high, self.nets.quick.leak), slopes, splits, STEPS)

    def _closed(self, rivals: Tensor, boxes: Boxes, bound: Tensor, multipliers: Tensor) -> Tensor:
        """Which domains are closed: boxes are empty, or margins positive in float64."""
        closed = (boxes.low > boxes.high).any(0)
        likely = ((bound > 0) & ~closed).nonzero().squeeze(1)
        if len(likely):
            proven = safe_bounds(
                self.nets.exact,
                self.margins.at(rivals[likely]),
                boxes.low[:, likely].double(),
                boxes.high[:, likely].double(),
                multipliers[:, likely].double(),
            )
            closed[likely] = proven > 0
        return closed

    def _bounded(self, rivals, boxes, slopes, splits, steps) -> None:
        """Bounds domains; what is not closed goes on the heap."""
        self.domains += len(splits)
        margins = self.quick_margins.at(rivals)
        empty = (boxes.low > boxes.high).any(0)
        sane = boxes_of(
            boxes.low, torch.where(empty, boxes.low.maximum(boxes.high), boxes.high), self.nets.quick.leak
        )
        found = ascended(self.nets.quick, margins, sane, slopes, steps=steps)
        closed = self._closed(rivals, boxes, found.bound, found.multipliers)
        left = (~closed).nonzero().squeeze(1)
        if not len(left):
            return
        self._try(found.at.points[: self.nets.exact.d, left], rivals[left])
        for i in left.tolist():
            self._push(
                Domain(
                    rival=int(rivals[i]),
                    low=boxes.low[:, i].clone(),
                    high=boxes.high[:, i].clone(),
                    alpha=found.slopes.alpha[:, i].clone(),
                    beta=found.slopes.beta[:, i].clone(),
                    bound=float(found.bound[i]),
                    splits=splits[i],
                )
            )

    def _try(self, delta: Tensor, rivals: Tensor) -> None:
        """Whether a bound is attained at a witness."""
        points = true_points(self.nets.quick, delta)
        margins = self.quick_margins.at(rivals)
        value = (margins.rows.T * points).sum(0) + margins.offset
        for i in (value <= 0).nonzero().squeeze(1).tolist():
            if self.is_witness(delta[:, i]):
                self.delta = delta[:, i]
                return
