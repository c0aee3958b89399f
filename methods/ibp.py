"""IBP: training on interval bounds [GDSQBUMK18], begun and steadied as in [SWZYH21]."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from methods._interval_training import IntervalTraining, around
from methods._worst_case import worst_cross_entropy
from methods.interface import TradeOff
from relu.classes import Images, Labels
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class Ibp(IntervalTraining):
    """The cross-entropy of the worst logits that interval bounds leave possible."""

    label: ClassVar[str] = "IBP"
    aliases: ClassVar[tuple[str, ...]] = ("interval", "fast-ibp", "shi")
    trade_off: ClassVar[TradeOff] = {
        "scale": (0.25, 2.0),
        "weight": (0.1, 1.0),
    }

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        found = around(net, x, self.threat_at(threat, progress))
        robust = worst_cross_entropy(found.bounds.margins(y))
        return self.whole(robust, net, x, y, found, progress)
