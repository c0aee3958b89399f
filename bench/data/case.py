"""What networks are trained and judged for: a data set, an architecture, a threat."""

from dataclasses import dataclass
from typing import Any

from bench.data.datasets import DataSet
from bench.data.holdout import HeldOut
from relu.network.architectures import skeleton
from relu.threat import Threat


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a cell is about, whatever the method."""

    data: DataSet
    arch: str
    threat: Threat

    def description(self) -> dict[str, Any]:
        """What every job says of it."""
        data = self.data
        skeleton(self.arch, data.shape, data.classes)  # refuses images it cannot take
        held = {"held_out": data.share} if isinstance(data, HeldOut) else {}
        return {"arch": self.arch, "shape": data.shape, "classes": data.classes} | held
