"""What TAPS and STAPS share: interval bounds up to a layer, PGD from there on [MBRJFV23]."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor, nn

from methods._interval_training import Around, IntervalTraining
from methods._latent_attack import attacked_margins
from methods._worst_case import worst_cross_entropies
from relu.bounds.ball import Ball
from relu.bounds.intervals import intervals
from relu.classes import Images, Labels
from relu.network.layers import Layer
from relu.network.reader import read_layers
from relu.threat import Threat


@dataclass(frozen=True, kw_only=True)
class PropagatedAttacks(IntervalTraining, ABC):
    """The product of two losses: of bounds, and of attacks on the last layers within them.

    tail: affine layers that are attacked, at most all but one; steps: of these attacks; pull:
    factor of the attacks' part of the gradient. While eps rises, the loss is IBP's.
    """

    tail: Annotated[int, Ge(1)] = 2
    steps: Annotated[int, Ge(1)] = 8
    pull: Annotated[float, Gt(0)] = 4.0

    @abstractmethod
    def ball(
        self, net: nn.Module, layers: tuple[Layer, ...], x: Images, y: Labels, threat: Threat
    ) -> Ball:
        """Where bounds are propagated from."""

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        """The product, for the threat of this progress."""
        layers = read_layers(net, tuple(x.shape[1:]))
        ball = self.ball(net, layers, x, y, self.threat_at(threat, progress))
        found = Around(intervals(layers, ball), ball)
        robust = worst_cross_entropies(found.bounds.margins(y))
        tail = min(self.tail, len(layers) - 1)
        if self.risen(progress) == 1 and tail:
            margins = attacked_margins(found.bounds, tail, y, steps=self.steps)
            attacked = worst_cross_entropies(margins)
            attacked = attacked.detach() + self.pull * (attacked - attacked.detach())
            robust = attacked * robust
        return self.whole(robust.mean(), net, x, y, found, progress)
