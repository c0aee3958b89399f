"""MMR's decision term alone: far from the decision boundary of the region's affine map [CAH19]."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from methods.mmr import Mmr, decision_penalty, region_at, warm
from relu.classes import Images, Labels
from relu.errors import InputError
from relu.threat import Threat


@dataclass(frozen=True, kw_only=True)
class MmrDd:
    """Cross-entropy + weight * mean of max(0, 1 - d_D / gamma) over all other classes.

    An ablation of MMR: "MMR-dD" of [CAH19, Table 2]. Its settings mean what they do there.
    """

    label: ClassVar[str] = "MMR-dD"

    weight: float = 1.0
    gamma: float = 0.15
    ramp: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise InputError(f"mmr_dd.weight must be at least 0, got {self.weight}")
        if not 0 < self.gamma < math.inf:
            raise InputError(f"mmr_dd.gamma must be a positive number, got {self.gamma}")
        if not 0 <= self.ramp <= 1:
            raise InputError(f"mmr_dd.ramp must lie in [0, 1], got {self.ramp}")

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
