"""MART: misclassified inputs count more, in attacks and in what these move [WZYBMG20]."""

from typing import Annotated, ClassVar

import torch.nn.functional as F
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor, nn

from methods._divergence import divergence
from methods.interface import TradeOff
from relu.attacks.pgd import ascend
from relu.classes import Images, Labels
from relu.ranges import checked_dataclass
from relu.threat import Threat

ROOM = 1e-4  # so that no logarithm is of 0


@checked_dataclass
class Mart:
    """BCE(f(z), y) + weight * mean of KL(p(x) || p(z)) (1 - p_y(x)), at PGD examples z.

    BCE: cross-entropy minus log(1 - the largest probability of another class).
    """

    label: ClassVar[str] = "MART"
    trade_off: ClassVar[TradeOff] = {"weight": (0.5, 20.0)}

    weight: Annotated[float, Ge(0)] = 5.0
    steps: Annotated[int, Ge(1)] = 10

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        z, _ = ascend(net, x, y, threat=threat, steps=self.steps)
        attacked = net(z)
        clean = net(x)
        label = y.unsqueeze(1)
        rival = attacked.softmax(1).scatter(1, label, 0.0).amax(1)
        boosted = F.cross_entropy(attacked, y) - (1 + ROOM - rival).log().mean()
        doubt = 1 - clean.softmax(1).gather(1, label).squeeze(1)
        moved = (divergence(clean, attacked) * doubt).mean()
        loss: Tensor = boosted + self.weight * moved
        return loss
