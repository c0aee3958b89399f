"""The convex hull of an l1 and an linf ball, and the l2 ball inside of it [CH20b].

Where both balls around x lie in one region in which x's class wins, so does their convex hull.
Without the box: the hull of the balls cut by it may be smaller.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.network.layers import Layer
from relu.regions.hyperplanes import planes_of
from relu.regions.region import region_of
from relu.threat import Threat

ROUNDING = 1e-12  # relative; of the few operations of the formula


def hull_radius(l1: Float[Tensor, " n"], linf: Float[Tensor, " n"], d: int) -> Float[Tensor, " n"]:
    """The l2 norm of the nearest point outside of the hull of both balls [CH20b, Theorem 3.1].

    eps_1 / (t - a + a^2)^(1/2) with t = eps_1 / eps_inf and a its fractional part, for t in
    [1, d]: a ball of one norm holds one of the other, whose radius is the same or a d-th. Rounded
    down.
    """
    l1 = l1.maximum(linf)
    linf = linf.maximum(l1 / d)
    ratio = (l1 / linf).nan_to_num(1.0, posinf=1.0).clamp_min(1.0)
    part = ratio - ratio.floor()
    return l1 / (ratio - part + part.square()).sqrt() * (1 - ROUNDING)


def hull_certificates(
    layers: tuple[Layer, ...], x: Float[Tensor, "n d"], y: Int[Tensor, " n"], threat: Threat
) -> Float[Tensor, " n"]:
    """Radii that are certified by distances in l1 and in linf to the region's hyperplanes, float64.

    In l1 and linf they are the distances; in l2 that of the hull [CH20b, Theorem 4.1].
    """
    region = region_of(layers, x)
    nearest = {}
    for norm in ("l1", "linf"):
        planes = planes_of(region, y, Threat(norm=norm, eps=1.0, box=threat.box))
        units = region.starts[-1]
        right = (planes.gap[:, units:] > planes.error[:, units:]).all(1)
        nearest[norm] = torch.where(right, planes.low.amin(1), 0.0)
    if threat.norm in nearest:
        return nearest[threat.norm]
    return hull_radius(nearest["l1"], nearest["linf"], x.shape[1])
