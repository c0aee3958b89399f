"""The same reduced network twice: what searches, and what proves."""

from dataclasses import dataclass

import torch
from torch import Tensor

from relu.bounds.reduced.boxes import Boxes, boxes_of
from relu.bounds.reduced.network import ReducedNetwork


@dataclass(frozen=True, eq=False)
class Networks:
    """The same reduced network in float64, which proves, and in float32, which searches."""

    exact: ReducedNetwork
    quick: ReducedNetwork

    @classmethod
    def of(cls, exact: ReducedNetwork) -> "Networks":
        """Of the one in float64."""
        return cls(exact, exact.to(torch.float32))

    def whole(self, m: int) -> Boxes:
        """All that the units' bounds allow, for each of m questions."""
        low, high = (
            side.unsqueeze(1).repeat(1, m) for side in outward(self.exact.low, self.exact.high)
        )
        return boxes_of(low, high, self.quick.leak)


def outward(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds as float32, rounded outward."""
    infinity = torch.tensor(torch.inf, dtype=torch.float32, device=low.device)
    below = low.float()
    above = high.float()
    below = torch.where(below.double() > low, torch.nextafter(below, -infinity), below)
    above = torch.where(above.double() < high, torch.nextafter(above, infinity), above)
    return below, above
