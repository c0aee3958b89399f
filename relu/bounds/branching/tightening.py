"""Tighter boxes of domains: of chosen units, wherever a margin may be negative."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.bounds.branching.domains import Tightening
from relu.bounds.reduced.ascent import Limit, ascended, limited
from relu.bounds.reduced.boxes import Boxes, Slopes
from relu.bounds.reduced.dual import safe_bounds
from relu.bounds.reduced.forms import Forms
from relu.bounds.reduced.precisions import Networks, outward

STEPS = 4
LEAST_REACH = 1e-6  # of a margin: what is less is rounding


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
    unit = width / reach[own]
    exact_margins = margins.at(own)
    found = ascended(
        nets.quick,
        nets.quick.units(chosen, signs.float()),
        boxes.at(own),
        slopes.at(own),
        steps=STEPS,
        limit=Limit(exact_margins.to(torch.float32), unit, unit),
    )
    asked = limited(nets.exact.units(chosen, signs), exact_margins, found.limit.double())
    low = boxes.low.double()
    high = boxes.high.double()
    proven = safe_bounds(nets.exact, asked, low[:, own], high[:, own], found.multipliers.double())
    proven = proven.nan_to_num(-torch.inf, torch.inf, -torch.inf).view(2, k, m)
    low = low.scatter(0, units, low.gather(0, units).maximum(proven[0]))
    high = high.scatter(0, units, high.gather(0, units).minimum(-proven[1]))
    multipliers = found.multipliers.unflatten(1, (2 * k, m)).unbind(2)
    limits = found.limit.view(2 * k, m).unbind(1)
    how = [Tightening(*parts) for parts in zip(units.unbind(1), multipliers, limits, strict=True)]
    return *outward(low, high), how
