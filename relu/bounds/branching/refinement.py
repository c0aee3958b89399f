"""Better bounds of units before a search: by ascent, and by a tree for each unit."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.batching import at_once, groups
from relu.bounds.branching.deadline import Deadline
from relu.bounds.branching.splitting import losses
from relu.bounds.branching.tightening import LEAST_REACH
from relu.bounds.branching.trees import Settled, Trees, grown
from relu.bounds.reduced.ascent import Limit, ascended
from relu.bounds.reduced.boxes import crown_slopes
from relu.bounds.reduced.forms import Forms
from relu.bounds.reduced.network import ReducedNetwork
from relu.bounds.reduced.precisions import Networks

MARGIN_STEPS = 20
HELD = 2**25  # numbers that the leaves of all trees at a time may be


def refined(net: ReducedNetwork, deadline: Deadline, *, rounds: int = 0) -> ReducedNetwork:
    """With bounds of all units but the first layer's improved, layer by layer.

    By ascent; and by so many rounds of branch and bound, of those that may still switch.
    """
    for k in range(1, len(net.hidden)):
        part = net.slices[k]
        units = torch.arange(part.start, part.stop, device=net.low.device)
        if rounds:
            units = units[_may_switch(net)[part]]
        below = Networks.of(net.below(k))
        share = deadline.share(_parts(net, k))
        net = _improved(net, below, units, rounds=rounds, deadline=share)
    return net


def refined_where(
    net: ReducedNetwork, margin: Forms, deadline: Deadline, *, rounds: int
) -> ReducedNetwork:
    """With bounds improved that hold wherever one margin is at most 0: of units that may switch.

    Those that cost the margin's bound most come first. Lower bounds may end above upper ones:
    then the margin is positive everywhere.
    """
    for k, part in enumerate(net.slices):
        nets = Networks.of(net)
        boxes = nets.whole(1)
        start = crown_slopes(boxes.low, boxes.high)
        found = ascended(nets.quick, margin.to(torch.float32), boxes, start, steps=MARGIN_STEPS)
        costs = losses(found.v, boxes).squeeze(1)[part]
        units = costs.argsort(descending=True) + part.start
        units = units[_may_switch(net)[units]]
        reach = (margin.offset - found.bound).clamp_min(LEAST_REACH)
        unit = ((net.high - net.low)[units] / reach).float().repeat(2)
        own = torch.zeros(2 * len(units), dtype=torch.long, device=units.device)
        limit = Limit(margin.at(own), unit, unit)
        share = deadline.share(_parts(net, k))
        net = _improved(net, nets, units, rounds=rounds, deadline=share, limit=limit)
        if crossed(net):
            break
    return net


def crossed(net: ReducedNetwork) -> bool:
    """Whether some unit's bounds exclude each other."""
    return bool((net.low > net.high).any())


def _may_switch(net: ReducedNetwork) -> Bool[Tensor, " N"]:
    return (net.low < 0) & (net.high > 0)


def _parts(net: ReducedNetwork, k: int) -> float:
    """How many times the open units of a layer are those of this layer and all above."""
    counts = [int(_may_switch(net)[part].sum()) for part in net.slices[k:]]
    return max(1, sum(counts)) / max(1, counts[0])


def _improved(
    net: ReducedNetwork,
    nets: Networks,
    units: Int[Tensor, " k"],
    *,
    rounds: int,
    deadline: Deadline,
    limit: Limit | None = None,
) -> ReducedNetwork:
    """With better bounds of these units, group by group until time is over; from `nets` alone.

    limit: of the units, then of their negatives.
    """
    low = net.low.clone()
    high = net.high.clone()
    most_held = HELD // (4 * (1 + rounds) * max(1, len(nets.exact.low)))
    step = min(at_once(low.device) // nets.exact.columns, most_held)
    for some in groups(len(units), step // 2):
        if deadline.passed:
            break
        here = units[some]
        known = torch.stack([low[here], -high[here]])
        both = torch.arange(len(units), device=units.device)[some]
        both = torch.cat([both, both + len(units)])
        trees = Trees(
            nets,
            _both_signs(net, here, nets.exact.columns),
            rounds=rounds,
            limit=None if limit is None else limit.at(both),
        )
        grown(trees, rounds=rounds, settled=_cannot_switch(known), deadline=deadline)
        least, most = trees.least.view_as(known).maximum(known)
        low[here] = least
        high[here] = -most
    return replace(net, low=low, high=high)


def _both_signs(net: ReducedNetwork, units: Int[Tensor, " k"], columns: int) -> Forms:
    """Units, then their negatives, as forms of so many columns."""
    signs = torch.ones(2 * len(units), dtype=net.low.dtype, device=units.device)
    signs[len(units) :] = -1
    forms = net.units(units.repeat(2), signs)
    return replace(forms, rows=forms.rows[:, :columns])


def _cannot_switch(known: Float[Tensor, "2 k"]) -> Settled:
    """Whether units cannot switch, from lower bounds of them and of their negatives."""

    def settled(least: Float[Tensor, " m"]) -> Bool[Tensor, " m"]:
        return (least.view_as(known).maximum(known) >= 0).any(0).repeat(2)

    return settled
