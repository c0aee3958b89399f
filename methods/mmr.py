"""Maximum margin regulariser: wide linear regions, far from the decision boundary [CAH19]."""

from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Int
from torch import Tensor, nn

from methods.interface import TradeOff
from relu.classes import Images, Labels
from relu.network.activation import switching_units
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.ranges import checked_dataclass
from relu.regions.distances import boundary_distances, decision_distances
from relu.regions.region import Region, region_of, shortened
from relu.threat import Threat


@checked_dataclass
class Mmr:
    """Cross-entropy + weight * kMMR [CAH19, eq. 7].

    kMMR is the mean of max(0, 1 - d / gamma_b) over the k_B smallest distances d to hyperplanes
    of hidden units, plus the mean of max(0, 1 - d / gamma_d) over the (signed) distances to the
    boundaries of all other classes; the box plays no part. gamma: both gammas, where they are
    not given apart. k_B falls from first_share to last_share of the hidden units over the
    training; what is but carried past a layer (relu/network/layers.py) is no unit. The weight
    rises from a tenth to the full one, batch by batch, within the first `ramp` of it: with 100
    epochs, it is epoch / 10 of the weight when each of the first 10 begins, as in
    [CAH19, Appendix B], where it stays so until the next one.
    """

    label: ClassVar[str] = "MMR"
    trade_off: ClassVar[TradeOff] = {"weight": (0.05, 10.0)}

    weight: Annotated[float, Ge(0)] = 1.0
    gamma: Annotated[float, Gt(0)] = 0.15
    gamma_b: Annotated[float, Gt(0)] | None = None
    gamma_d: Annotated[float, Gt(0)] | None = None
    first_share: Annotated[float, Gt(0), Le(1)] = 0.1
    last_share: Annotated[float, Gt(0), Le(1)] = 0.02
    ramp: Annotated[float, Ge(0), Le(1)] = 0.1

    @classmethod
    def defaults(cls, dataset: str, arch: str, threat: Threat) -> dict[str, object]:
        """Gamma 1.5 eps [CAH19, Appendix B]."""
        return {"gamma": 1.5 * threat.eps}

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        region = region_at(net, x, threat.q)
        share = self.first_share + (self.last_share - self.first_share) * progress
        k = max(1, round(share * units_with_kink(region)))
        gamma_b = self.gamma if self.gamma_b is None else self.gamma_b
        gamma_d = self.gamma if self.gamma_d is None else self.gamma_d
        penalty = decision_penalty(region, y, threat, gamma_d)
        if region.hidden:
            d_b = boundary_distances(region, threat, k=k, within=gamma_b)
            penalty = penalty + hinge(d_b, gamma_b)
        weight = self.weight * warm(progress, self.ramp)
        return F.cross_entropy(region.logits, y) + weight * penalty


def region_at(net: nn.Module, x: Float[Tensor, "n *shape"], q: float) -> Region:
    """The regions of a batch of images, whose rows' norms will be wanted in the dual norm q."""
    layers = read_layers(net, tuple(x.shape[1:]))
    return shortened(region_of(layers, to_vectors(layers, x)), q)


def units_with_kink(region: Region) -> int:
    """How many hidden units can switch: what is but carried past a layer is none."""
    kinked = switching_units(region.hidden)
    return region.starts[-1] if kinked is None else int(kinked.sum())


def decision_penalty(
    region: Region, y: Int[Tensor, " n"], threat: Threat, gamma: float
) -> Float[Tensor, ""]:
    """The hinge of the distances to the boundaries of all other classes."""
    return hinge(decision_distances(region, y, threat, within=gamma), gamma)


def hinge(distances: Float[Tensor, "n k"], gamma: float) -> Float[Tensor, ""]:
    """The mean of max(0, 1 - d / gamma)."""
    return hinges(distances, gamma).mean()


def hinges(distances: Float[Tensor, "n k"], gamma: float) -> Float[Tensor, "n k"]:
    """max(0, 1 - d / gamma)."""
    return torch.relu(1 - distances / gamma)


def warm(progress: float, ramp: float) -> float:
    """A factor that rises linearly from 0.1 by 1 per `ramp`, up to 1."""
    return min(1.0, 0.1 + progress / ramp) if ramp else 1.0
