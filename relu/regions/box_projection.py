"""Distance to a hyperplane, and the nearest point of it, inside a box [CAH19, Appendix A.1, eq. 9].

    min ||z - x||_p   s.t.  w.z + b = 0,  low <= z_i <= high

Every coordinate that helps moves towards the hyperplane: by delta_i in [0, room_i], where room_i
is its way to the edge of the box. What is left is to share the gap |w.x + b| = sum |w_i| delta_i
out at least cost. One multiplier decides for all coordinates, and where it lies follows exactly
from sorting the values at which a coordinate meets its edge:

    linf: delta_i = min(t, room_i)           edges met at t = room_i
    l2:   delta_i = min(t |w_i|, room_i)     edges met at t = room_i / |w_i|
    l1:   steepest coordinates first, each up to its edge, the last one as far as it is needed
"""

import torch
from jaxtyping import Float
from torch import Tensor

from relu.threat import Threat

TOUCHING = 1e-9  # relative gap up to which a hyperplane beside the box counts as touching it


def nearest_on_hyperplanes(
    x: Float[Tensor, "n d"],
    w: Float[Tensor, "n k d"],
    b: Float[Tensor, "n k"],
    threat: Threat,
) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k d"]]:
    """Distances from each x to its k hyperplanes w.z + b = 0, and the nearest points of those.

    The norm and the box are the threat's; its eps plays no part. x lies in the box. A hyperplane
    that misses the box, or has no direction (w = 0), is at distance inf and its point is NaN; one
    through x is at distance 0. In exact arithmetic the results are exact; compute in float64.
    """
    low, high = threat.box
    gap = torch.einsum("nkd,nd->nk", w, x) + b
    towards = -w.sign() * gap.sign().unsqueeze(2)
    room = torch.where(towards > 0, high - x.unsqueeze(1), x.unsqueeze(1) - low)
    steep = w.abs()
    missing = gap.abs()
    delta = torch.where(steep > 0, threat.p_norm.shared(steep, room, missing), 0.0)
    most = (steep * room).sum(2)
    # A hyperplane that just touches the box must not round away from it: too near is still sound.
    reachable = (missing == 0) | ((most > 0) & (most * (1 + TOUCHING) >= missing))
    z = threat.clamped(x.unsqueeze(1) + towards * delta)
    distance = threat.length(delta.flatten(0, 1)).view_as(gap)
    nowhere = torch.full((), torch.inf, dtype=x.dtype, device=x.device)
    return (
        torch.where(reachable, distance, nowhere),
        torch.where(reachable.unsqueeze(2), z, torch.nan),
    )
