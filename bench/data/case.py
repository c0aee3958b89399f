"""What networks are trained and judged for: a data set, an architecture, a threat."""

from dataclasses import dataclass
from typing import Any

from bench.data.datasets import DataSet
from bench.data.holdout import HeldOut
from relu.network.architecture import Architecture
from relu.threat import Threat


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a cell is about, whatever the method."""

    data: DataSet
    architecture: Architecture
    threat: Threat

    def description(self) -> dict[str, Any]:
        """What every job says of it. Raises InputError for images that the architecture refuses."""
        data = self.data
        self.architecture.skeleton(data.shape, data.classes)
        held = {"held_out": data.share} if isinstance(data, HeldOut) else {}
        arch = self.architecture
        said = {"arch": arch.name, "arch_code": arch.code, "mean": arch.mean, "std": arch.std}
        return {**said, "shape": data.shape, "classes": data.classes, **held}
