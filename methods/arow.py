"""ARoW: TRADES where inputs count more that an attack makes less sure [YKY23]."""

from typing import Annotated, ClassVar

import torch.nn.functional as F
from annotated_types import Ge, Lt
from jaxtyping import Float
from torch import Tensor, nn

from methods._divergence import divergence, most_divergent
from methods.interface import TradeOff
from relu.classes import Images, Labels
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class Arow:
    """Smoothed CE(f(x), y) + weight * mean of KL(p(x) || p(z)) (1 - p_y(z)), z as TRADES'.

    smoothing: of the labels in the first part.
    """

    label: ClassVar[str] = "ARoW"
    trade_off: ClassVar[TradeOff] = {"weight": (0.5, 20.0)}

    weight: Annotated[float, Ge(0)] = 7.0
    smoothing: Annotated[float, Ge(0), Lt(1)] = 0.2
    steps: Annotated[int, Ge(1)] = 10

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        clean = net(x)
        z = most_divergent(net, x, y, clean, threat=threat, steps=self.steps)
        attacked = net(z)
        doubt = 1 - attacked.softmax(1).gather(1, y.unsqueeze(1)).squeeze(1)
        moved = (divergence(clean, attacked) * doubt).mean()
        smoothed = F.cross_entropy(clean, y, label_smoothing=self.smoothing)
        loss: Tensor = smoothed + self.weight * moved
        return loss
