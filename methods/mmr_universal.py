"""MMR-Universal: the maximum margin regulariser in l1 and linf at once [CH20b]."""

from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from methods.interface import TradeOff
from methods.mmr import hinge, hinges, units_with_kink, warm
from relu.classes import Images, Labels
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.ranges import checked_dataclass
from relu.regions.distances import Hyperplanes, decision_distances
from relu.regions.region import region_of
from relu.threat import Threat


@checked_dataclass
class MmrUniversal:
    """Cross-entropy + sums of hinges max(0, 1 - d / gamma) of distances d in l1 and in linf.

    Of hidden units, those count that are among the k nearest in one of both norms, in both; their
    sums are divided by k, those over the boundaries of other classes by these classes' number
    [CH20b, Definition 4.1]. l1_weight, linf_weight go with the norms, as in the authors' code (the
    definition, as printed, gives them to units and to boundaries). k falls from first_share to
    last_share of the units; both weights rise as MMR's do. The threat plays no part.
    """

    label: ClassVar[str] = "MMR-Universal"
    aliases: ClassVar[tuple[str, ...]] = ("mmr-u", "universal")
    uses_threat: ClassVar[bool] = False
    trade_off: ClassVar[TradeOff] = {
        "l1_weight": (0.1, 10.0),
        "linf_weight": (0.1, 30.0),
    }

    l1_weight: Annotated[float, Ge(0)] = 3.0
    linf_weight: Annotated[float, Ge(0)] = 12.0
    l1_gamma: Annotated[float, Gt(0)] = 1.0
    linf_gamma: Annotated[float, Gt(0)] = 0.15
    first_share: Annotated[float, Gt(0), Le(1)] = 0.2
    last_share: Annotated[float, Gt(0), Le(1)] = 0.05
    ramp: Annotated[float, Ge(0), Le(1)] = 0.1

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        layers = read_layers(net, tuple(x.shape[1:]))
        region = region_of(layers, to_vectors(layers, x))
        parts = [
            (self.l1_weight, self.l1_gamma, Threat(norm="l1", eps=1.0)),
            (self.linf_weight, self.linf_gamma, Threat(norm="linf", eps=1.0)),
        ]
        share = self.first_share + (self.last_share - self.first_share) * progress
        penalty = region.logits.new_zeros(())
        for weight, gamma, norm in parts:
            distances = decision_distances(region, y, norm, within=gamma)
            penalty = penalty + weight * hinge(distances, gamma)
        if region.hidden:
            k = max(1, round(share * units_with_kink(region)))
            planes = [Hyperplanes.of(region, norm.q) for _, _, norm in parts]
            units, counts = union(planes[0].nearest(k), planes[1].nearest(k))
            for (weight, gamma, _), hyperplanes in zip(parts, planes, strict=True):
                distances = hyperplanes.distances(units, gamma)
                penalty = penalty + weight * (hinges(distances, gamma) * counts).sum(1).mean() / k
        return F.cross_entropy(region.logits, y) + warm(progress, self.ramp) * penalty


def union(
    first: Int[Tensor, "n k"], second: Int[Tensor, "n k"]
) -> tuple[Int[Tensor, "n k2"], Bool[Tensor, "n k2"]]:
    """Both sets of units side by side, and which count: those of the second not in the first."""
    twice = (second.unsqueeze(2) == first.unsqueeze(1)).any(2)
    return torch.cat([first, second], 1), torch.cat([torch.ones_like(twice), ~twice], 1)
