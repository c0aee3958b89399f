"""Exp-IBP: a weighted product of the losses of interval bounds and of PGD examples [DPBLDB24]."""

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from methods._expressive import Expressive
from methods._worst_case import worst_cross_entropies
from methods.interface import TradeOff
from relu.classes import Labels
from relu.ranges import checked_dataclass

LEAST = 1e-12  # of a loss, whose powers have no slope at 0


@checked_dataclass
class ExpIbp(Expressive):
    """The mean of (loss of interval bounds)^alpha * (loss of PGD examples)^(1 - alpha)."""

    label: ClassVar[str] = "Exp-IBP"
    aliases: ClassVar[tuple[str, ...]] = ("exponential ibp",)
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
        bounded = worst_cross_entropies(margins).clamp_min(LEAST)
        adversarial = F.cross_entropy(attacked, y, reduction="none").clamp_min(LEAST)
        return (bounded**self.alpha * adversarial ** (1 - self.alpha)).mean()
