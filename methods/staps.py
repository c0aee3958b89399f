"""STAPS: TAPS over small balls around PGD examples, as SABR has them [MBRJFV23]."""

from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le
from torch import nn

from methods._propagated_attacks import PropagatedAttacks
from methods._small_balls import small_balls
from methods.interface import TradeOff
from relu.bounds.ball import Ball
from relu.classes import Images, Labels
from relu.network.layers import Layer
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class Staps(PropagatedAttacks):
    """share: of the radius that the small balls have; attack_steps: of the PGD to their centers."""

    label: ClassVar[str] = "STAPS"
    trade_off: ClassVar[TradeOff] = {
        "share": (0.02, 1.0),
        "scale": (0.5, 2.0),
    }

    share: Annotated[float, Gt(0), Le(1)] = 0.4
    attack_steps: Annotated[int, Ge(1)] = 8

    def ball(
        self, net: nn.Module, layers: tuple[Layer, ...], x: Images, y: Labels, threat: Threat
    ) -> Ball:
        return small_balls(
            net, layers, x, y, threat=threat, share=self.share, steps=self.attack_steps
        )
