"""N-FGSM: one gradient step from noise that is wider than the ball, not projected [DJBVDSTR22]."""

import math
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor, nn

from methods.interface import TradeOff
from relu.classes import Images, Labels
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class NFgsm:
    """Cross-entropy at x + noise + step, neither ball nor box being kept to.

    noise: uniform in a ball of so many eps; step: along the steepest ascent at x + noise, in eps.
    """

    label: ClassVar[str] = "N-FGSM"
    aliases: ClassVar[tuple[str, ...]] = ("noisy fgsm", "fast adversarial training")
    trade_off: ClassVar[TradeOff] = {"step": (0.1, 2.0)}

    noise: Annotated[float, Ge(0)] = 2.0
    step: Annotated[float, Gt(0)] = 1.0

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        norm = threat.p_norm
        noise = norm.random(len(x), math.prod(x.shape[1:]), x, None).view_as(x)
        z = (x + self.noise * threat.factor(x) * noise).requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(net(z), y, reduction="sum"), z)
        z = z.detach()
        reach = (self.noise + self.step) * float(threat.eps)
        far = (threat.box[0] - reach, threat.box[1] + reach)
        z = z + self.step * threat.factor(x) * norm.ascent(gradient, z, far)
        return F.cross_entropy(net(z), y)
