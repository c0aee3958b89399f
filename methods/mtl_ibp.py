"""MTL-IBP: a weighted sum of the losses of interval bounds and of PGD examples [DPBLDB24]."""

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from methods._expressive import Expressive
from methods._worst_case import worst_cross_entropy
from methods.interface import TradeOff
from relu.classes import Labels
from relu.ranges import checked_dataclass


@checked_dataclass
class MtlIbp(Expressive):
    """alpha * cross-entropy of interval bounds + (1 - alpha) * cross-entropy of PGD examples."""

    label: ClassVar[str] = "MTL-IBP"
    aliases: ClassVar[tuple[str, ...]] = ("multi-task ibp",)
    trade_off: ClassVar[TradeOff] = {
        "alpha": (0.001, 1.0),
        "scale": (0.5, 2.0),
    }

    def mixed(
        self,
        margins: Float[Tensor, "n k1"],
        attacked: Float[Tensor, "n k"],
        y: Labels,
    ) -> Float[Tensor, ""]:
        adversarial = F.cross_entropy(attacked, y)
        return self.alpha * worst_cross_entropy(margins) + (1 - self.alpha) * adversarial
