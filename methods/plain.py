"""Plain training: the cross-entropy of the clean batch."""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from relu.classes import Images, Labels
from relu.threat import Threat


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Cross-entropy, no regulariser, no augmentation of its own."""

    label: ClassVar[str] = "plain"
    aliases: ClassVar[tuple[str, ...]] = ("clean", "standard", "normal")
    uses_threat: ClassVar[bool] = False

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        return F.cross_entropy(net(x), y)
