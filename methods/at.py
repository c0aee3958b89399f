"""Adversarial training with PGD examples [MMSTV18]."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from relu.attacks.pgd import ascend
from relu.errors import InputError
from relu.threat import Threat


@dataclass(frozen=True, kw_only=True)
class At:
    """Cross-entropy of a batch whose first part is replaced by PGD examples at the threat's eps.

    steps: PGD iterations, each 2 eps / steps long, from a random start. share: part of the batch
    that is attacked; the paper uses half [CAH19, Appendix B].
    """

    label: ClassVar[str] = "AT"
    aliases: ClassVar[tuple[str, ...]] = ("pgd-at", "at-pgd", "madry", "adversarial training")

    steps: int = 40
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"at.steps must be at least 1, got {self.steps}")
        if not 0 < self.share <= 1:
            raise InputError(f"at.share must lie in (0, 1], got {self.share}")

    def loss(
        self,
        net: nn.Module,
        x: Float[Tensor, "n *shape"],
        y: Int[Tensor, " n"],
        *,
        threat: Threat,
        progress: float,
    ) -> Float[Tensor, ""]:
        return F.cross_entropy(net(self.attacked(net, x, y, threat=threat)), y)

    def attacked(
        self,
        net: nn.Module,
        x: Float[Tensor, "n *shape"],
        y: Int[Tensor, " n"],
        *,
        threat: Threat,
    ) -> Float[Tensor, "n *shape"]:
        """The batch with its first part replaced by PGD examples."""
        count = max(1, round(self.share * len(x)))
        z, _ = ascend(net, x[:count], y[:count], threat=threat, steps=self.steps)
        return torch.cat([z, x[count:]])
