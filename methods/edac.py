"""EDAC: PGD examples of weights that were moved to be less certain of them [ZBZ23]."""

from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from methods.interface import TradeOff
from relu.attacks.pgd import ascend
from relu.classes import Images, Labels
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class Edac:
    """Cross-entropy at PGD examples of moved weights, with its gradient there (an extragradient).

    Weights w move to w - step * the gradient of the certainty: the mean standard deviation of an
    input's logits at PGD examples of w. steps: of each of both attacks.
    """

    label: ClassVar[str] = "EDAC"
    trade_off: ClassVar[TradeOff] = {"step": (0.001, 1.0)}

    step: Annotated[float, Ge(0)] = 0.03
    steps: Annotated[int, Ge(1)] = 10

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        z, _ = ascend(net, x, y, threat=threat, steps=self.steps)
        weights = {name: p for name, p in net.named_parameters() if p.requires_grad}
        certainty = net(z).std(1).mean()
        slopes = torch.autograd.grad(certainty, list(weights.values()), allow_unused=True)
        shifts = {
            name: torch.zeros_like(weights[name]) if slope is None else self.step * slope
            for name, slope in zip(weights, slopes, strict=True)
        }
        moved = _Moved(net, shifts)
        z, _ = ascend(moved, x, y, threat=threat, steps=self.steps)
        return F.cross_entropy(moved(z), y)


class _Moved(nn.Module):
    """A network whose weights are less by their shifts."""

    def __init__(self, net: nn.Module, shifts: dict[str, Tensor]) -> None:
        super().__init__()
        self.net = net
        self.shifts = shifts

    def forward(self, x: Images) -> Float[Tensor, "n k"]:
        weights = dict(self.net.named_parameters())
        moved = {name: weights[name] - shift for name, shift in self.shifts.items()}
        logits: Tensor = functional_call(self.net, moved, (x,))
        return logits
