"""MMR's decision term alone: far from the decision boundary of the region's affine map [CAH19]."""

from typing import Annotated, ClassVar

import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from jaxtyping import Float
from torch import Tensor, nn

from methods.interface import TradeOff
from methods.mmr import Mmr, decision_penalty, region_at, warm
from relu.classes import Images, Labels
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class MmrDd:
    """Cross-entropy + weight * mean of max(0, 1 - d_D / gamma) over all other classes.

    An ablation of MMR: "MMR-dD" of [CAH19, Table 2]. Its settings mean what they do there.
    """

    label: ClassVar[str] = "MMR-dD"
    trade_off: ClassVar[TradeOff] = {"weight": (0.05, 10.0)}

    weight: Annotated[float, Ge(0)] = 1.0
    gamma: Annotated[float, Gt(0)] = 0.15
    ramp: Annotated[float, Ge(0), Le(1)] = 0.1

    @classmethod
    def defaults(cls, dataset: str, arch: str, threat: Threat) -> dict[str, object]:
        """MMR's."""
        return Mmr.defaults(dataset, arch, threat)

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        region = region_at(net, x, threat.q)
        weight = self.weight * warm(progress, self.ramp)
        penalty = decision_penalty(region, y, threat, self.gamma)
        return F.cross_entropy(region.logits, y) + weight * penalty
