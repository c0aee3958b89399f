"""TAPS: interval bounds of the first layers, attacks on the last within them [MBRJFV23]."""

from typing import ClassVar

from torch import nn

from methods._propagated_attacks import PropagatedAttacks
from methods.interface import TradeOff
from relu.bounds.ball import Ball, ball_of
from relu.classes import Images, Labels
from relu.network.layers import Layer, to_vectors
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class Taps(PropagatedAttacks):
    """Bounds are those over the threat's balls."""

    label: ClassVar[str] = "TAPS"
    trade_off: ClassVar[TradeOff] = {
        "pull": (0.5, 16.0),
        "scale": (0.25, 2.0),
    }

    def ball(
        self, net: nn.Module, layers: tuple[Layer, ...], x: Images, y: Labels, threat: Threat
    ) -> Ball:
        return ball_of(to_vectors(layers, x), threat)
