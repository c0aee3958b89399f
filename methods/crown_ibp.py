"""CROWN-IBP: one backward pass of linear bounds over interval bounds [ZCXGSLBH20, XSZWCHKLH20]."""

from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Le
from jaxtyping import Float
from torch import Tensor, nn

from methods._interval_training import Around, IntervalTraining, around
from methods._worst_case import worst_cross_entropy
from methods.interface import TradeOff
from relu.bounds.linear import joint_lower_bounds, margin_lower_bounds, relax
from relu.bounds.relaxed_network import RelaxedNetwork
from relu.classes import Images, Labels
from relu.ranges import checked_dataclass
from relu.threat import Threat

NARROW = 1e-6  # a range of exponents over which a chord's slope would be rounding


@checked_dataclass
class CrownIbp(IntervalTraining):
    """IBP's loss, with bounds of the margins by CROWN's lines between interval bounds.

    fused: bounds the cross-entropy itself, by one row instead of one for each other class
    (`fused_cross_entropy`). last: how much CROWN's bounds count against intervals' once eps has
    risen, from 1 at the beginning; where it is less than 1, nothing is fused.
    """

    label: ClassVar[str] = "CROWN-IBP"
    trade_off: ClassVar[TradeOff] = {
        "scale": (0.25, 2.0),
        "weight": (0.1, 1.0),
    }

    fused: bool = True
    last: Annotated[float, Ge(0), Le(1)] = 1.0

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        found = around(net, x, self.threat_at(threat, progress))
        share = 1 + (self.last - 1) * self.risen(progress)
        robust = self._robust(found, y, share)
        return self.whole(robust, net, x, y, found, progress)

    def _robust(self, found: Around, y: Labels, share: float) -> Tensor:
        if share == 0:
            return worst_cross_entropy(found.bounds.margins(y))
        relaxed = relax(found.bounds.layers, found.ball, "crown", known=found.bounds.hidden)
        if share == 1 and self.fused:
            return fused_cross_entropy(relaxed, *found.bounds.margin_ranges(y), y).mean()
        margins = share * margin_lower_bounds(relaxed, y)
        if share < 1:
            margins = margins + (1 - share) * found.bounds.margins(y)
        return worst_cross_entropy(margins)


def fused_cross_entropy(
    relaxed: RelaxedNetwork,
    low: Float[Tensor, "n k1"],
    high: Float[Tensor, "n k1"],
    y: Labels,
) -> Float[Tensor, " n"]:
    """Upper bounds of the cross-entropy, log(1 + sum_s exp(-m_s)), m_s the margins f_y - f_s.

    Between low and high, exp(-m) is at most its chord, b - a m; the sum of a_s m_s has a lower
    bound by one row [XSZWCHKLH20, Section 3.2]. Everything is divided by the largest exp(-low).
    """
    largest = (-low).amax(1, keepdim=True).clamp_min(0)
    at_low = torch.exp(-low - largest)
    at_high = torch.exp(-high - largest)
    width = (high - low).clamp_min(NARROW)
    slopes = (at_low - at_high) / width
    offsets = at_low + slopes * low
    total = offsets.sum(1) - joint_lower_bounds(relaxed, y, slopes)
    total = torch.exp(-largest.squeeze(1)) + total.clamp_min(0)
    return largest.squeeze(1) + total.log()
