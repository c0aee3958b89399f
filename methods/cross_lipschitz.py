"""Cross-Lipschitz regularisation [HA17]: small differences between the classes' gradients."""

from typing import Annotated, ClassVar

import torch.nn.functional as F
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor, nn

from methods.interface import TradeOff
from methods.mmr import region_at
from relu.classes import Images, Labels
from relu.network.layers import matrix
from relu.ranges import checked_dataclass
from relu.regions.jacobian import vjp_at_once
from relu.threat import Threat


@checked_dataclass
class CrossLipschitz:
    """Cross-entropy + weight * mean over all pairs of classes of ||grad f_l - grad f_k||_2^2.

    [HA17]: the sum over l, k = 1..K divided by K^2, averaged over the batch. The norm is
    l2 whatever the threat's; a comparison method of [CAH19, Appendix C].
    """

    label: ClassVar[str] = "Cross-Lipschitz"
    aliases: ClassVar[tuple[str, ...]] = ("cl", "cross lip")
    uses_threat: ClassVar[bool] = False
    trade_off: ClassVar[TradeOff] = {"weight": (1e-4, 1.0)}

    weight: Annotated[float, Ge(0)] = 0.01

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        region = region_at(net, x, 2)
        last = matrix(region.layers[-1]).expand(len(x), -1, -1)
        rows = vjp_at_once(
            region, last, len(region.layers) - 1
        )  # of V: the gradients of all logits
        return F.cross_entropy(region.logits, y) + self.weight * cross_lipschitz(rows)


def cross_lipschitz(rows: Float[Tensor, "n k d"]) -> Float[Tensor, ""]:
    """The mean over inputs and all k^2 pairs of ||rows_l - rows_m||_2^2: twice their variance."""
    centred = rows - rows.mean(1, keepdim=True)
    return 2 * centred.square().sum(2).mean()
