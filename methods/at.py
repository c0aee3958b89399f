"""Adversarial training with PGD examples [MMSTV18]."""

from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Int
from torch import Tensor, nn

from methods.interface import TradeOff
from relu.attacks.pgd import ascend
from relu.classes import Images, Labels
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class At:
    """Cross-entropy of a batch whose first part is replaced by PGD examples at the threat's eps.

    steps: PGD iterations, each 2 eps / steps long, from a random start. share: part of the batch
    that is attacked; the paper uses half [CAH19, Appendix B].
    """

    label: ClassVar[str] = "AT"
    aliases: ClassVar[tuple[str, ...]] = ("pgd-at", "at-pgd", "madry", "adversarial training")
    trade_off: ClassVar[TradeOff] = {"share": (0.1, 1.0)}

    steps: Annotated[int, Ge(1)] = 40
    share: Annotated[float, Gt(0), Le(1)] = 0.5

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        return F.cross_entropy(net(self.attacked(net, x, y, threat=threat)), y)

    def attacked(
        self,
        net: nn.Module,
        x: Float[Tensor, "n *shape"],
        y: Int[Tensor, " n"],
        *,
        threat: Threat,
    ) -> Float[Tensor, "n *shape"]:
        """The batch with its first part replaced by PGD examples."""
        count = max(1, round(self.share * len(x)))
        z, _ = ascend(net, x[:count], y[:count], threat=threat, steps=self.steps)
        return torch.cat([z, x[count:]])
