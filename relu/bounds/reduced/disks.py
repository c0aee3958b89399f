"""What bounds gain where units of a layer lie in an l2 ball together (relu/bounds/coupling.py)."""

from jaxtyping import Float
from torch import Tensor

from relu.bounds.coupling import LeastInBall
from relu.bounds.reduced.forms import Disk
from relu.bounds.reduced.network import ReducedNetwork


def gains(
    net: ReducedNetwork,
    terms: Float[Tensor, "N m"],
    v: Float[Tensor, "N m"],
    multipliers: Float[Tensor, "N m"],
    low: Float[Tensor, "N m"],
    high: Float[Tensor, "N m"],
    *,
    unit: float,
) -> Float[Tensor, " m"]:
    """By how much the sums over units are larger than those of their own least values, `terms`.

    The sum of v_u a_u - lambda_u z_u over a layer is at least that of the terms, and at least what
    it is over box and ball. unit: relative rounding error of sums, for proofs; else 0.
    """
    total = v.new_zeros(v.shape[1])
    for part, disk in zip(net.slices, net.disks, strict=True):
        if disk is None:
            continue
        least = _least(
            disk, v[part], multipliers[part], low[part], high[part], net.leak[part], unit
        )
        alone = terms[part]
        gain = least - alone.sum(0) - 2 * unit * (least.abs() + alone.abs().sum(0))
        total = total + gain.nan_to_num(nan=0.0, posinf=0.0).clamp_min(0)
    return total * (1 - unit)


def _least(
    disk: Disk, v: Tensor, multipliers: Tensor, low: Tensor, high: Tensor, leak: Tensor, unit: float
) -> Tensor:
    """Of v a - lambda z over the units, in box and ball; a lower bound."""
    questions = v.shape[1]
    problem = LeastInBall(
        above=(v - multipliers).T.unsqueeze(1),
        below=(v * leak.unsqueeze(1) - multipliers).T.unsqueeze(1),
        center=disk.center.expand(questions, 1, -1),
        low=low.T.unsqueeze(1),
        high=high.T.unsqueeze(1),
        radius=disk.radius.expand(questions, 1),
        unit=unit,
    )
    return problem.highest().squeeze(1)
