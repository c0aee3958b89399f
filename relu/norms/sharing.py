"""What norms share: the way that pixels have, and one multiplier that shares a gap out."""

import torch
from jaxtyping import Float
from torch import Tensor


def multiplier(rate: Tensor, most: Tensor, edge: Tensor, missing: Tensor) -> Tensor:
    """The t with sum_i min(t rate_i, most_i) = missing, where coordinate i stops at t = edge_i.

    Between two edges the sum is linear: what the coordinates that have stopped contribute, plus t
    times the rates of the others. (n, k, 1); too large where no t is large enough.
    """
    edge, order = edge.sort(dim=2)
    rate = rate.gather(2, order)
    most = most.gather(2, order)
    stopped = most.cumsum(2) - most  # contributions of the coordinates before each
    moving = rate.flip(2).cumsum(2).flip(2)  # rates from each on
    at_edge = stopped + edge * moving
    # The first edge at which the sum suffices ends the piece that t lies in.
    piece = (at_edge < missing.unsqueeze(2)).sum(2, keepdim=True).clamp_max(edge.shape[2] - 1)
    slope = moving.gather(2, piece).clamp_min(torch.finfo(rate.dtype).tiny)
    return (missing.unsqueeze(2) - stopped.gather(2, piece)) / slope


def room_against(
    rows: Float[Tensor, "n k d"], up: Float[Tensor, "n d"], down: Float[Tensor, "n d"]
) -> Float[Tensor, "n k d"]:
    """How far each pixel can go the way on which the rows fall."""
    return torch.where(rows > 0, down.unsqueeze(1), up.unsqueeze(1))
