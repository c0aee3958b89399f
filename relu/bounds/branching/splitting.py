"""Which unit a domain is split at: the candidates' children are bounded, the best pair wins.

Candidates are the units whose lines cost the margin's bound most [BLTTKK20; WZXLJHK21: filtered
smart branching].
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.bounds.reduced.boxes import Boxes, Slopes, boxes_of
from relu.bounds.reduced.dual import bounded
from relu.bounds.reduced.forms import Forms
from relu.bounds.reduced.network import ReducedNetwork

CANDIDATES = 8
OTHER_CHILD = 0.1  # what the better child's gain counts beside the worse one's


def losses(v: Float[Tensor, "N m"], boxes: Boxes) -> Float[Tensor, "N m"]:
    """What the upper lines of units cost a bound: -v times their height at z = 0."""
    return -v.clamp_max(0) * boxes.height


def best_splits(
    net: ReducedNetwork,
    margins: Forms,
    boxes: Boxes,
    slopes: Slopes,
    v: Float[Tensor, "N m"],
) -> Int[Tensor, " m"]:
    """For each domain the unit whose split raises the worse child's bound most."""
    score = torch.where(boxes.open, losses(v, boxes), -1.0)
    count = min(CANDIDATES, score.shape[0])
    units = score.topk(count, 0).indices
    m = units.shape[1]
    own = torch.arange(m, device=units.device).repeat(count)
    gains = torch.stack(
        [
            bounded(
                net,
                margins.at(own),
                split_boxes(boxes.at(own), units.flatten(), active),
                slopes.at(own),
            ).bound.view(count, m)
            for active in (True, False)
        ]
    )
    value = gains.amin(0) + OTHER_CHILD * gains.amax(0)
    costs = score.gather(0, units)
    last = (costs <= 0) & (costs > 0).any(0)  # a unit that costs nothing is split last
    value = torch.where(last | (costs < 0), -torch.inf, value)  # and one that is closed, never
    return units.gather(0, value.argmax(0, keepdim=True)).squeeze(0)


def split_boxes(boxes: Boxes, units: Int[Tensor, " m"], active: bool) -> Boxes:
    """Each box's part in which its unit is active, or inactive."""
    low = boxes.low
    high = boxes.high
    units = units.unsqueeze(0)
    if active:
        low = low.scatter(0, units, low.gather(0, units).clamp_min(0))
    else:
        high = high.scatter(0, units, high.gather(0, units).clamp_max(0))
    return boxes_of(low, high, boxes.leak.squeeze(1))


def children(boxes: Boxes, units: Int[Tensor, " m"]) -> Boxes:
    """The parts of all boxes in which their units are active; then those with inactive ones."""
    parts = [split_boxes(boxes, units, active) for active in (True, False)]
    return boxes_of(
        torch.cat([part.low for part in parts], 1),
        torch.cat([part.high for part in parts], 1),
        boxes.leak.squeeze(1),
    )
