"""TRADES: clean cross-entropy, and how far an attack moves what the network says [ZYJXGJ19]."""

from typing import Annotated, ClassVar

import torch.nn.functional as F
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor, nn

from methods._divergence import divergence, most_divergent
from methods.interface import TradeOff
from relu.classes import Images, Labels
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class Trades:
    """CE(f(x), y) + weight * KL(p(x) || p(z)), where z is to make the divergence large.

    steps: of PGD on the divergence, each 2 eps / steps long.
    """

    label: ClassVar[str] = "TRADES"
    trade_off: ClassVar[TradeOff] = {"weight": (0.5, 20.0)}

    weight: Annotated[float, Ge(0)] = 6.0
    steps: Annotated[int, Ge(1)] = 10

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        clean = net(x)
        z = most_divergent(net, x, y, clean, threat=threat, steps=self.steps)
        return F.cross_entropy(clean, y) + self.weight * divergence(clean, net(z)).mean()
