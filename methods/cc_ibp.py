"""CC-IBP: the loss of margins between interval bounds and PGD examples [DPBLDB24]."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from methods._expressive import Expressive
from methods._worst_case import worst_cross_entropy
from methods.interface import TradeOff
from relu.classes import Labels, gaps
from relu.ranges import checked_dataclass


@checked_dataclass
class CcIbp(Expressive):
    """Cross-entropy of alpha * the bounds of the margins + (1 - alpha) * those of PGD examples."""

    label: ClassVar[str] = "CC-IBP"
    aliases: ClassVar[tuple[str, ...]] = ("convex combination ibp",)
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
        return worst_cross_entropy(self.alpha * margins + (1 - self.alpha) * gaps(attacked, y))
