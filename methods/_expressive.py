"""What the expressive losses share: interval bounds and PGD examples in one loss [DPBLDB24]."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated

from annotated_types import Ge, Gt, Le
from jaxtyping import Float
from torch import Tensor, nn

from methods._interval_training import IntervalTraining, around
from relu.attacks.pgd import ascend
from relu.classes import Images, Labels
from relu.threat import Threat


@dataclass(frozen=True, kw_only=True)
class Expressive(IntervalTraining, ABC):
    """alpha: how much interval bounds count against PGD examples, 1 being IBP and 0 PGD alone.

    steps: of PGD, each 2 / steps of the radius long; reach: its radius, in multiples of the
    radius of the bounds.
    """

    alpha: Annotated[float, Ge(0), Le(1)] = 0.1
    steps: Annotated[int, Ge(1)] = 1
    reach: Annotated[float, Gt(0)] = 1.0

    @abstractmethod
    def mixed(
        self,
        margins: Float[Tensor, "n k1"],
        attacked: Float[Tensor, "n k"],
        y: Labels,
    ) -> Float[Tensor, ""]:
        """The loss of lower bounds of margins, and of the logits of PGD examples."""

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        """The mixture, for the threat of this progress."""
        now = self.threat_at(threat, progress)
        attack = replace(now, eps=self.reach * float(now.eps))
        z, _ = ascend(net, x, y, threat=attack, steps=self.steps)
        found = around(net, x, now)
        robust = self.mixed(found.bounds.margins(y), net(z), y)
        return self.whole(robust, net, x, y, found, progress)
