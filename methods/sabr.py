"""SABR: training on interval bounds over small balls around PGD examples [MEFV23]."""

from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le
from jaxtyping import Float
from torch import Tensor, nn

from methods._interval_training import Around, IntervalTraining
from methods._small_balls import small_balls
from methods._worst_case import worst_cross_entropy
from methods.interface import TradeOff
from relu.bounds.intervals import intervals
from relu.classes import Images, Labels
from relu.network.reader import read_layers
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class Sabr(IntervalTraining):
    """IBP's loss over a ball of `share` of the radius, around a PGD example of `steps` steps."""

    label: ClassVar[str] = "SABR"
    aliases: ClassVar[tuple[str, ...]] = ("small boxes",)
    trade_off: ClassVar[TradeOff] = {
        "share": (0.02, 1.0),
        "scale": (0.5, 2.0),
    }

    share: Annotated[float, Gt(0), Le(1)] = 0.4
    steps: Annotated[int, Ge(1)] = 8

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        layers = read_layers(net, tuple(x.shape[1:]))
        now = self.threat_at(threat, progress)
        ball = small_balls(net, layers, x, y, threat=now, share=self.share, steps=self.steps)
        found = Around(intervals(layers, ball), ball)
        robust = worst_cross_entropy(found.bounds.margins(y))
        return self.whole(robust, net, x, y, found, progress)
