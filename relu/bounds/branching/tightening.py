"""Tighter boxes: of all units at the root, of chosen units wherever a margin may be negative."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.batching import at_once, groups
from relu.bounds.branching.deadline import Deadline
from relu.bounds.branching.domains import Tightening
from relu.bounds.branching.trees import Trees, grown
from relu.bounds.reduced.ascent import Limit, ascended, limited
from relu.bounds.reduced.boxes import Boxes, Slopes
from relu.bounds.reduced.dual import safe_bounds
from relu.bounds.reduced.forms import Forms
from relu.bounds.reduced.network import ReducedNetwork
from relu.bounds.reduced.precisions import Networks, outward

STEPS = 4
LEAST_REACH = 1e-6  # of a margin: what is less is rounding


def refined(net: ReducedNetwork, deadline: Deadline, *, rounds: int = 0) -> ReducedNetwork:
    """With bounds of all units but the first layer's improved, layer by layer.

    By ascent; and by so many rounds of branch and bound, of those that may still switch.
    """
    low = net.low.clone()
    high = net.high.clone()
    for k in range(1, len(net.hidden)):
        below = Networks.of(replace(net, low=low, high=high).below(k))
        forms = net.hidden[k]
        part = net.slices[k]
        asked = (low[part] < 0) & (high[part] > 0) if rounds else low[part] == low[part]
        numbers = asked.nonzero().squeeze(1)
        step = at_once(low.device) // (below.exact.columns * (1 + rounds // 8))
        for some in groups(len(numbers), step // 2):
            if deadline.passed:
                return replace(net, low=low, high=high)
            here = part.start + numbers[some]
            known = low[here], high[here]
            least, most = _both_sides(below, forms.at(numbers[some]), known, rounds, deadline)
            low[here] = low[here].maximum(least)
            high[here] = high[here].minimum(most)
    return replace(net, low=low, high=high)


def _both_sides(
    nets: Networks, forms: Forms, known: tuple[Tensor, Tensor], rounds: int, deadline: Deadline
) -> tuple[Tensor, Tensor]:
    """Bounds of forms from below and from above; known: bounds that they have."""
    asked = Forms(
        torch.cat([forms.rows, -forms.rows]),
        torch.cat([forms.offset, -forms.offset]),
        torch.cat([forms.size, forms.size]),
    )
    before = torch.stack([known[0], -known[1]])

    def settled(least: Float[Tensor, " m"]) -> Bool[Tensor, " m"]:
        """Of units that cannot switch."""
        return (least.view_as(before).maximum(before) >= 0).any(0).repeat(2)

    trees = Trees(nets, asked, rounds=rounds)
    grown(trees, rounds=rounds, settled=settled, deadline=deadline)
    least, most = trees.least.view_as(before)
    return least, -most


def tightened(
    nets: Networks,
    boxes: Boxes,
    slopes: Slopes,
    units: Int[Tensor, "k m"],
    margins: Forms,
    bounds: Float[Tensor, " m"],
) -> tuple[Float[Tensor, "N m"], Float[Tensor, "N m"], list[Tightening]]:
    """Bounds (float32, rounded outward) of k units of each box, where its margin is at most 0.

    slopes: of the margins, from which the ascent starts; bounds: of the margins, with these. How
    much a margin varies by, beside how much a unit does, is what its multiplier is measured in.
    """
    k, m = units.shape
    own = torch.arange(m, device=units.device).repeat(2 * k)
    chosen = units.flatten().repeat(2)
    signs = torch.ones(2 * k * m, dtype=torch.float64, device=units.device)
    signs[k * m :] = -1
    width = (boxes.high - boxes.low).gather(0, units).flatten().repeat(2)
    reach = (margins.offset.float() - bounds).clamp_min(LEAST_REACH)
    exact_margins = margins.at(own)
    found = ascended(
        nets.quick,
        nets.quick.units(chosen, signs.float()),
        boxes.at(own),
        slopes.at(own),
        steps=STEPS,
        limit=Limit(exact_margins.to(torch.float32), width / reach[own]),
    )
    asked = limited(nets.exact.units(chosen, signs), exact_margins, found.limit.double())
    low = boxes.low.double()
    high = boxes.high.double()
    proven = safe_bounds(nets.exact, asked, low[:, own], high[:, own], found.multipliers.double())
    proven = proven.nan_to_num(nan=-torch.inf).view(2, k, m)
    low = low.scatter(0, units, low.gather(0, units).maximum(proven[0]))
    high = high.scatter(0, units, high.gather(0, units).minimum(-proven[1]))
    multipliers = found.multipliers.unflatten(1, (2 * k, m)).unbind(2)
    limits = found.limit.view(2 * k, m).unbind(1)
    how = [Tightening(*parts) for parts in zip(units.unbind(1), multipliers, limits, strict=True)]
    return *outward(low, high), how
