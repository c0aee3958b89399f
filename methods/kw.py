"""KW: training on the dual bound of linear relaxation with parallel lines [WK18, WSMK18]."""

from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float
from torch import Tensor, nn

from methods._worst_case import worst_cross_entropy
from methods.interface import TradeOff
from relu.bounds.ball import ball_of
from relu.bounds.linear import margin_lower_bounds, relax
from relu.bounds.random_projection import RandomProjections
from relu.classes import Images, Labels
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class Kw:
    """Cross-entropy of the worst logits that the dual bound leaves possible [WK18, Theorem 2].

    They are 0 for the label and minus the lower bound of f_y - f_s for every other class s, over
    the ball of a radius that rises linearly from `start` of scale * eps to all of it within the
    first `ramp` of the training. box: whether the ball is cut by the box; it is not in the papers.
    projections: random vectors that estimate the bounds of layers with more than `wide` units
    [WSMK18]; for l1, and for l2 inside the box, all layers are computed in full.
    """

    label: ClassVar[str] = "KW"
    aliases: ClassVar[tuple[str, ...]] = ("wong-kolter", "convex adversarial", "lp-d")
    trade_off: ClassVar[TradeOff] = {"scale": (0.1, 2.0)}

    scale: Annotated[float, Gt(0)] = 1.0
    start: Annotated[float, Gt(0), Le(1)] = 0.1
    ramp: Annotated[float, Ge(0), Le(1)] = 0.5
    box: bool = False
    projections: Annotated[int, Ge(1)] = 50
    wide: Annotated[int, Ge(0)] = 10_000

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        layers = read_layers(net, tuple(x.shape[1:]))
        vectors = to_vectors(layers, x)
        ball = ball_of(vectors, threat, eps=self._radius(vectors, threat, progress), box=self.box)
        estimates = RandomProjections(count=self.projections, wider_than=self.wide)
        return worst_cross_entropy(
            margin_lower_bounds(relax(layers, ball, "kw", estimates=estimates), y)
        )

    def _radius(self, vectors: Tensor, threat: Threat, progress: float) -> Tensor:
        risen = min(1.0, progress / self.ramp) if self.ramp else 1.0
        share = self.start + (1 - self.start) * risen
        return torch.full_like(vectors[:, 0], share * self.scale * float(threat.eps))
