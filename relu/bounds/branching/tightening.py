"""Tighter boxes: of all units at the root, of chosen units wherever a margin may be negative."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.batching import at_once, groups
from relu.bounds.branching.ascent import Limit, ascended, limited
from relu.bounds.branching.boxes import Boxes, Slopes, boxes_of, crown_slopes
from relu.bounds.branching.deadline import Deadline
from relu.bounds.branching.domains import Tightening
from relu.bounds.branching.dual import safe_bounds, with_level_lines
from relu.bounds.branching.forms import Forms
from relu.bounds.branching.reduced import ReducedNetwork

ROOT_STEPS = 10
STEPS = 4
LEAST_REACH = 1e-6  # of a margin: what is less is rounding


@dataclass(frozen=True, eq=False)
class Networks:
    """The same reduced network in float64, which proves, and in float32, which searches."""

    exact: ReducedNetwork
    quick: ReducedNetwork

    @classmethod
    def of(cls, exact: ReducedNetwork) -> "Networks":
        """Of the one in float64."""
        return cls(exact, exact.to(torch.float32))


def outward(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds as float32, rounded outward."""
    infinity = torch.tensor(torch.inf, dtype=torch.float32, device=low.device)
    below = low.float()
    above = high.float()
    below = torch.where(below.double() > low, torch.nextafter(below, -infinity), below)
    above = torch.where(above.double() < high, torch.nextafter(above, infinity), above)
    return below, above


def refined(net: ReducedNetwork, deadline: Deadline) -> ReducedNetwork:
    """With bounds of all units but the first layer's improved by ascent, layer by layer."""
    low = net.low.clone()
    high = net.high.clone()
    for k in range(1, len(net.hidden)):
        below = Networks.of(replace(net, low=low, high=high).below(k))
        forms = net.hidden[k]
        part = net.slices[k]
        numbers = torch.arange(len(forms.offset), device=low.device)
        step = at_once(low.device) // below.exact.columns
        for some in groups(len(numbers), step // 2):
            if deadline.passed:
                return replace(net, low=low, high=high)
            least, most = _both_sides(below, forms.at(numbers[some]))
            here = part.start + numbers[some]
            low[here] = low[here].maximum(least)
            high[here] = high[here].minimum(most)
    return replace(net, low=low, high=high)


def _both_sides(nets: Networks, forms: Forms) -> tuple[Tensor, Tensor]:
    """Bounds of forms from below and from above."""
    asked = Forms(
        torch.cat([forms.rows, -forms.rows]),
        torch.cat([forms.offset, -forms.offset]),
        torch.cat([forms.size, forms.size]),
    )
    m = len(asked.offset)
    low = nets.exact.low.unsqueeze(1).expand(-1, m)
    high = nets.exact.high.unsqueeze(1).expand(-1, m)
    quick_low, quick_high = outward(low, high)
    boxes = boxes_of(quick_low, quick_high, nets.quick.leak)
    quick = asked.to(torch.float32)
    start = with_level_lines(nets.quick, quick, boxes, crown_slopes(boxes.low, boxes.high))
    found = ascended(nets.quick, quick, boxes, start, steps=ROOT_STEPS)
    proven = safe_bounds(nets.exact, asked, low, high, found.multipliers.double())
    proven = proven.nan_to_num(nan=-torch.inf)
    return proven[: m // 2], -proven[m // 2 :]


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
