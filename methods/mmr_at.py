"""MMR+at: the maximum margin regulariser on a batch that is partly PGD examples [CAH19]."""

from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from methods.at import At
from methods.interface import TradeOff
from methods.mmr import Mmr
from relu.classes import Images, Labels
from relu.threat import Threat


@dataclass(frozen=True, kw_only=True)
class MmrAt:
    """MMR's loss where At has replaced the first half of the batch by PGD examples."""

    label: ClassVar[str] = "MMR+at"
    trade_off: ClassVar[TradeOff] = {"mmr.weight": (0.05, 10.0)}

    mmr: Mmr = field(default_factory=Mmr)
    at: At = field(default_factory=At)

    @classmethod
    def defaults(cls, dataset: str, arch: str, threat: Threat) -> dict[str, object]:
        """MMR's."""
        mmr = Mmr.defaults(dataset, arch, threat)
        return {f"mmr.{name}": value for name, value in mmr.items()}

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        x = self.at.attacked(net, x, y, threat=threat)
        return self.mmr.loss(net, x, y, threat=threat, progress=progress)
