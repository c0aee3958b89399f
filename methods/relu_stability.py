"""ReLU stability: PGD examples, and a reward for units that cannot switch [XTSM19]."""

from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor, nn

from methods._interval_training import around
from methods.interface import TradeOff
from relu.attacks.pgd import ascend
from relu.bounds.intervals import Intervals
from relu.classes import Images, Labels
from relu.network.activation import switching
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class ReluStability:
    """Cross-entropy at PGD examples - weight * sum over units of tanh(1 + l u), on average.

    l, u: interval bounds of a unit's pre-activation over the threat's ball, whose product is
    positive where the unit cannot switch. The paper adds `train.l1`, too.
    """

    label: ClassVar[str] = "ReLU stability"
    aliases: ClassVar[tuple[str, ...]] = ("rs", "xiao")
    trade_off: ClassVar[TradeOff] = {"weight": (1e-6, 1e-2)}

    weight: Annotated[float, Ge(0)] = 1e-4
    steps: Annotated[int, Ge(1)] = 10

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        z, _ = ascend(net, x, y, threat=threat, steps=self.steps)
        stable = stability_reward(around(net, x, threat).bounds)
        return F.cross_entropy(net(z), y) - self.weight * stable


def stability_reward(bounds: Intervals) -> Float[Tensor, ""]:
    """The sum over units with a kink of tanh(1 + l u), averaged over the inputs [XTSM19, eq. 6]."""
    total = bounds.center.new_zeros(())
    for layer, hidden in zip(bounds.layers, bounds.hidden, strict=False):
        rewards = torch.tanh(1 + hidden.low * hidden.high)
        kinked = switching(layer)
        total = total + (rewards if kinked is None else rewards[:, kinked]).sum()
    return total / len(bounds.center)
