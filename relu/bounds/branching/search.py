"""Branch and bound: whether some class wins or ties anywhere in the ball of one input.

A domain is another class s and a box of pre-activations of all units that may switch; it is closed
when f_y - f_s is proven positive wherever the units lie in the box, or no input has them there.
Everything that is proven of a domain is asked only where f_y - f_s <= 0: so boxes shrink with the
margin's bound, and the bound rises with the boxes, often to the end without any split.
"""

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.batching import at_once
from relu.bounds.branching.deadline import Deadline
from relu.bounds.branching.descent import descent
from relu.bounds.branching.domains import Domain, Domains, Leaf, Split, side_by_side
from relu.bounds.branching.splitting import best_splits, children, losses
from relu.bounds.branching.tightening import tightened
from relu.bounds.reduced.ascent import ascended
from relu.bounds.reduced.boxes import Boxes, boxes_of, crown_slopes
from relu.bounds.reduced.dual import (
    bounded,
    carried,
    coupled_bounds,
    safe_bounds,
    with_level_lines,
)
from relu.bounds.reduced.forms import Forms
from relu.bounds.reduced.network import ReducedNetwork
from relu.bounds.reduced.precisions import Networks

LAST_STEPS = 200  # of a domain that cannot be split
TIGHTENED = 8  # units of a domain whose boxes are tightened
HELD = 2**28  # numbers of open domains; where there are more, the latest come first

Verdict = Literal["certified", "witness", "timeout", "open"]
Deeper = Callable[[Float[Tensor, " d"], int], Float[Tensor, " d"] | None]
"""A perturbation and another class s -> where f_y - f_s is less, near there, or nothing"""


class Steps(NamedTuple):
    """Of ascent: of the whole ball's bounds, and of those of every later domain."""

    root: int = 60
    domain: int = 8


STEPS = Steps()
QUICK = Steps(root=20, domain=6)


@dataclass(frozen=True, eq=False)
class Result:
    """What a search found. "open": a domain without units to split has no proof.

    delta: a witness's perturbation. domains: how many were bounded. bound: the least bound of a
    domain that is open. left: the other classes that have such domains, by their places among
    those that were asked about. leaves: all closed domains, if they were to be kept.
    """

    verdict: Verdict
    delta: Float[Tensor, " d"] | None = None
    domains: int = 0
    bound: float = 0.0
    left: tuple[int, ...] = ()
    leaves: tuple[Leaf, ...] = ()


class Search:
    """Of one input: whether f_y - f_s <= 0 anywhere for one of the other classes s.

    is_witness: decides whether a perturbation is one. deeper: looks for one near points where a
    margin is small. keep: whether leaves are kept.
    """

    def __init__(
        self,
        net: ReducedNetwork,
        y: int,
        others: Int[Tensor, " k"],
        is_witness: Callable[[Float[Tensor, " d"]], bool],
        deadline: Deadline,
        *,
        steps: Steps = STEPS,
        deeper: Deeper | None = None,
        keep: bool = False,
    ) -> None:
        self.nets = Networks.of(net)
        self.margins = net.margins(y, others)
        self.quick_margins = self.margins.to(torch.float32)
        self.is_witness = is_witness
        self.deadline = deadline
        self.steps = steps
        self.deeper = deeper
        self.others = others
        self.keep = keep
        self.heap: list[tuple[float, int, Domain]] = []
        self.order = itertools.count()
        self.domains = 0
        self.delta: Tensor | None = None
        self.stuck: list[Domain] = []
        self.leaves: list[Leaf] = []

    @torch.no_grad()
    def result(self, most: int | None = None) -> Result:
        """Searches until all is closed, a witness is found, or time is over.

        most: domains after which it ends as if time were over; asked again, it goes on.
        """
        if not self.domains:
            self._push(self._bound(self._root(), self.steps.root))
        while self.heap and self.delta is None:
            if self.deadline.passed or (most is not None and self.domains >= most):
                return self._result("timeout")
            count = min(self._at_once, len(self.heap))
            batch = side_by_side([self._next() for _ in range(count)], self.nets.quick.leak)
            whole = ~batch.boxes.open.any(0)
            self.stuck += self._bound(batch.at(whole.nonzero().squeeze(1)), LAST_STEPS)
            batch = batch.at((~whole).nonzero().squeeze(1))
            if len(batch) and self.delta is None:
                self._push(self._bound(self._tightened(self._children(batch)), self.steps.domain))
        if self.delta is not None:
            return self._result("witness")
        return self._result("open" if self.stuck else "certified")

    def _result(self, verdict: Verdict) -> Result:
        bound = self.heap[0][0] if self.heap else 0.0
        domains = [*self.stuck, *(domain for _, _, domain in self.heap)]
        left = tuple(sorted({domain.rival for domain in domains}))
        return Result(verdict, self.delta, self.domains, bound, left, tuple(self.leaves))

    @property
    def _at_once(self) -> int:
        numbers = at_once(self.margins.offset.device)
        return max(1, numbers // (2 * TIGHTENED * self.nets.exact.columns))

    def _push(self, domains: Sequence[Domain]) -> None:
        for domain in domains:
            heapq.heappush(self.heap, (domain.bound, next(self.order), domain))

    def _next(self) -> Domain:
        """The domain with the least bound; one of the latest, where there are too many."""
        if 4 * len(self.heap) * len(self.nets.exact.low) > HELD:
            return self.heap.pop()[2]
        return heapq.heappop(self.heap)[2]

    def _root(self) -> Domains:
        """The whole ball, for each of the other classes."""
        m = len(self.margins.offset)
        boxes = self.nets.whole(m)
        rivals = torch.arange(m, device=boxes.low.device)
        self.domains += m
        slopes = crown_slopes(boxes.low, boxes.high)
        slopes = with_level_lines(self.nets.quick, self.quick_margins, boxes, slopes)
        return Domains(rivals, boxes, slopes, [()] * m)

    def _children(self, domains: Domains) -> Domains:
        """Both parts of each domain, split at its best unit."""
        margins = self.quick_margins.at(domains.rivals)
        now = bounded(self.nets.quick, margins, domains.boxes, domains.slopes)
        units = best_splits(self.nets.quick, margins, domains.boxes, domains.slopes, now.v)
        both = torch.arange(len(domains), device=units.device).repeat(2)
        self.domains += len(both)
        steps = [
            (*before, Split(unit, active))
            for active in (True, False)
            for before, unit in zip(domains.steps, units.tolist(), strict=True)
        ]
        boxes = children(domains.boxes, units)
        slopes = carried(
            self.nets.quick,
            margins.at(both),
            boxes,
            domains.slopes.at(both),
            now.multipliers[:, both],
        )
        return Domains(domains.rivals[both], boxes, slopes, steps)

    def _tightened(self, domains: Domains) -> Domains:
        """Those that are not closed as they are, with boxes that are tightened."""
        margins = self.quick_margins.at(domains.rivals)
        now = bounded(self.nets.quick, margins, domains.boxes, domains.slopes)
        bound = self._coupled(margins, domains.boxes, now.bound, now.multipliers)
        left = self._left(domains, bound, now.multipliers)
        domains = domains.at(left)
        if not len(left):
            return domains
        count = min(TIGHTENED, len(domains.boxes.low))
        units = losses(now.v[:, left], domains.boxes).topk(count, 0).indices
        low, high, how = tightened(
            self.nets,
            domains.boxes,
            domains.slopes,
            units,
            self.margins.at(domains.rivals),
            now.bound[left],
        )
        steps = domains.steps
        if self.keep:
            steps = [(*before, step) for before, step in zip(steps, how, strict=True)]
        boxes = boxes_of(low, high, self.nets.quick.leak)
        multipliers = now.multipliers[:, left]
        slopes = carried(self.nets.quick, margins.at(left), boxes, domains.slopes, multipliers)
        return replace(domains, boxes=boxes, slopes=slopes, steps=steps)

    def _bound(self, domains: Domains, steps: int) -> list[Domain]:
        """Domains that so many steps of ascent do not close; they are tried for a witness."""
        if not len(domains):
            return []
        margins = self.quick_margins.at(domains.rivals)
        found = ascended(self.nets.quick, margins, domains.boxes, domains.slopes, steps=steps)
        bound = self._coupled(margins, domains.boxes, found.bound, found.multipliers)
        left = self._left(domains, bound, found.multipliers)
        self._try(found.mean[:, left], domains.rivals[left])
        return replace(domains, slopes=found.slopes).at(left).alone(bound[left])

    def _coupled(
        self, margins: Forms, boxes: Boxes, bound: Tensor, multipliers: Tensor
    ) -> Float[Tensor, " m"]:
        """The bounds, in the balls that units of layers lie in, if there are any."""
        if all(disk is None for disk in self.nets.quick.disks):
            return bound
        return coupled_bounds(self.nets.quick, margins, boxes, multipliers)

    def _left(
        self, domains: Domains, bound: Float[Tensor, " m"], multipliers: Float[Tensor, "N m"]
    ) -> Int[Tensor, " k"]:
        """Which are not closed. Empty boxes are; and where margins are positive in float64."""
        boxes = domains.boxes
        empty = (boxes.low > boxes.high).any(0)
        likely = ((bound > 0) & ~empty).nonzero().squeeze(1)
        proven = torch.zeros_like(empty)
        if len(likely):
            proven[likely] = self._proven(domains.at(likely), multipliers[:, likely])
        if self.keep:
            for i in (empty | proven).nonzero().squeeze(1).tolist():
                proof = None if empty[i] else multipliers[:, i].clone()
                self.leaves.append(Leaf(int(domains.rivals[i]), domains.steps[i], proof))
        return (~(empty | proven)).nonzero().squeeze(1)

    def _proven(self, domains: Domains, multipliers: Float[Tensor, "N m"]) -> Bool[Tensor, " m"]:
        margins = self.margins.at(domains.rivals)
        low = domains.boxes.low.double()
        high = domains.boxes.high.double()
        return safe_bounds(self.nets.exact, margins, low, high, multipliers.double()) > 0

    def _try(self, delta: Float[Tensor, "d m"], rivals: Int[Tensor, " m"]) -> None:
        """Whether a bound is nearly attained at a witness, or a descent from there finds one."""
        margins = self.quick_margins.at(rivals)
        for tried, value in descent(self.nets.quick, margins, delta):
            for i in (value <= 0).nonzero().squeeze(1).tolist():
                if self.is_witness(tried[:, i]):
                    self.delta = tried[:, i]
                    return
        if self.deeper is not None and len(value):
            i = int(value.argmin())
            point = self.deeper(tried[:, i], int(self.others[rivals[i]]))
            if point is not None and self.is_witness(point):
                self.delta = point
