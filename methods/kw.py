"""KW: training on the dual bound of linear relaxation with parallel lines [WK18, WSMK18]."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from relu.bounds.ball import ball_of
from relu.bounds.linear import margin_lower_bounds, relax
from relu.bounds.random_projection import Projection
from relu.classes import Images, Labels
from relu.errors import InputError
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.threat import Threat


@dataclass(frozen=True, kw_only=True)
class Kw:
    """Cross-entropy of the worst logits that the dual bound leaves possible [WK18, Theorem 2].

    They are 0 for the label and minus the lower bound of f_y - f_s for every other class s, over
    the ball of a radius that rises linearly from start * eps to eps within the first `ramp` of the
    training. box: whether the ball is cut by the box; it is not in the papers. projections:
    random vectors that estimate the bounds of layers with more than `wide` units [WSMK18]; for
    l1, and for l2 inside the box, all layers are computed in full.
    """

    label: ClassVar[str] = "KW"
    aliases: ClassVar[tuple[str, ...]] = ("wong-kolter", "convex adversarial", "lp-d")

    start: float = 0.1
    ramp: float = 0.5
    box: bool = False
    projections: int = 50
    wide: int = 10_000

    def __post_init__(self) -> None:
        if not 0 < self.start <= 1:
            raise InputError(f"kw.start must lie in (0, 1], got {self.start}")
        if not 0 <= self.ramp <= 1:
            raise InputError(f"kw.ramp must lie in [0, 1], got {self.ramp}")
        for name, least in {"projections": 1, "wide": 0}.items():
            if getattr(self, name) < least:
                raise InputError(f"kw.{name} must be at least {least}, got {getattr(self, name)}")

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        layers = read_layers(net, tuple(x.shape[1:]))
        vectors = to_vectors(layers, x)
        ball = ball_of(vectors, threat, eps=self._radius(vectors, threat, progress), box=self.box)
        projection = Projection(count=self.projections, wider_than=self.wide)
        bound = margin_lower_bounds(relax(layers, ball, "kw", projection=projection), y)
        worst = F.pad(-bound, (1, 0))
        return F.cross_entropy(worst, torch.zeros_like(y))

    def _radius(self, vectors: Tensor, threat: Threat, progress: float) -> Tensor:
        risen = min(1.0, progress / self.ramp) if self.ramp else 1.0
        share = self.start + (1 - self.start) * risen
        return torch.full_like(vectors[:, 0], share * threat.eps)
