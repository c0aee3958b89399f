"""The hyperplanes around an input, with distances that rounding cannot make too large.

On a region, hidden unit i switches on {z : V_i z + a_i = 0} and class s overtakes the label on
{z : (V_y - V_s) z + a_y - a_s = 0}. Both are numbered together: units first, then other classes.

Everything is float64. What is computed of a gap differs from the exact V x + a by at most
gamma |W|...(|W| 1 + |b|)... + |b|, and a row V_i, in the l1 norm, by at most gamma |W|...|W| 1
(1 replaced by the largest pixel; gamma as in relu/rounding.py), and by UNDERFLOW times all that
what underflows can be multiplied by.
Distances are computed with the gap that much smaller and the norm that much larger, and are then
rounded down by PLANE_ROUNDING, which covers the arithmetic of norms and of nearest points with
room to spare
(they err by about d u, some 1e-13).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.classes import gaps, others
from relu.network.activation import switching_units
from relu.network.layers import Layer, largest_row, matrix, paths, without_bias
from relu.norms import dual_length
from relu.regions.box_projection import nearest_on_hyperplanes
from relu.regions.jacobian import logit_rows, norms, unit_rows, vjp
from relu.regions.region import Region, affine_map
from relu.rounding import UNDERFLOW, gamma
from relu.threat import Threat

PLANE_ROUNDING = 1e-9  # relative


@dataclass(frozen=True, eq=False)
class Planes:
    """The p hyperplanes of each of n regions.

    gap: the affine form at x. length: the dual norm of its normal; 0 where that is nothing but
    rounding. low: proven lower bounds on the distances from x, without the box; inf where the
    form is constant (0 where it is a constant tie or loss). error: how much the form may be off,
    at any point of the box.
    """

    gap: Float[Tensor, "n p"]
    length: Float[Tensor, "n p"]
    low: Float[Tensor, "n p"]
    error: Float[Tensor, "n p"]


@torch.no_grad()
def planes_of(region: Region, y: Int[Tensor, " n"], threat: Threat) -> Planes:
    """All hyperplanes of the regions. The norm and the box are the threat's."""
    assert region.x.dtype == region.layers[0].like.dtype == torch.float64
    rows = vjp(region, logit_rows(region.layers, y), len(region.layers) - 1)
    length = torch.cat([norms(region, threat.q), dual_length(rows, threat.q)], dim=1)
    gap = torch.cat([*region.z, gaps(region.logits, y)], dim=1)
    gap_error, row_error, constant, zero = _errors(region, y, threat)
    low = (gap.abs() - gap_error).clamp_min(0) / (length + row_error) * (1 - PLANE_ROUNDING)
    units = region.starts[-1]
    held = gap.abs() > gap_error  # a constant's sign is known
    held[:, :units] |= zero[:, :units]
    held[:, units:] &= gap[:, units:] > 0
    low = torch.where(constant, torch.where(held, torch.inf, 0.0), low)
    length = torch.where(length > 10 * row_error, length, 0.0)
    planes = Planes(gap, length, low, gap_error + row_error * _width(threat))
    kinked = switching_units(region.hidden)
    return planes if kinked is None else _without_units(planes, ~kinked)


def normals(region: Region, y: Int[Tensor, " n"], plane: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """The normal of one hyperplane per region."""
    rows = torch.empty_like(region.x)
    units = region.starts[-1]
    inner = (plane < units).nonzero().squeeze(1)
    rows[inner] = unit_rows(region.at(inner), plane[inner])
    outer = (plane >= units).nonzero().squeeze(1)
    weight = matrix(region.layers[-1])
    other_class = (
        others(y[outer], len(weight)).gather(1, plane[outer].unsqueeze(1) - units).squeeze(1)
    )
    difference = (weight[y[outer]] - weight[other_class]).unsqueeze(1)
    rows[outer] = vjp(region.at(outer), difference, len(region.layers) - 1).squeeze(1)
    return rows


def distance_to(
    x: Float[Tensor, "n d"],
    normal: Float[Tensor, "n d"],
    gap: Float[Tensor, " n"],
    error: Float[Tensor, " n"],
    threat: Threat,
) -> Float[Tensor, " n"]:
    """Proven lower bounds on the distances to one hyperplane each, inside the box."""
    nearer = gap.sign() * (gap.abs() - error).clamp_min(0)
    distance, _ = _nearest(x, normal, nearer, threat)
    known = nearer.isfinite() & normal.isfinite().all(1)
    return torch.where(known, distance * (1 - PLANE_ROUNDING), 0.0)


def point_beyond(
    x: Float[Tensor, "n d"],
    normal: Float[Tensor, "n d"],
    gap: Float[Tensor, " n"],
    error: Float[Tensor, " n"],
    threat: Threat,
) -> Float[Tensor, "n d"]:
    """The nearest point at which the exact form is negative; NaN where the box has none."""
    _, z = _nearest(x, normal, gap + 3 * error, threat)
    return z


def _nearest(x: Tensor, normal: Tensor, gap: Tensor, threat: Threat) -> tuple[Tensor, Tensor]:
    """Of normals whose largest entry is 1, as squares of small ones would underflow."""
    largest = normal.abs().amax(1)
    scale = torch.where(largest > 0, largest, 1.0)
    normal = normal / scale.unsqueeze(1)
    gap = gap / scale
    offset = gap - (normal * x).sum(1)
    distance, z = nearest_on_hyperplanes(x, normal.unsqueeze(1), offset.unsqueeze(1), threat)
    return distance.squeeze(1), z.squeeze(1)


def _width(threat: Threat) -> float:
    """How far a point of the box can be from x, in linf."""
    return threat.box[1] - threat.box[0]


def _errors(region: Region, y: Tensor, threat: Threat) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """How far gaps at x, and rows in l1, may be from exact ones; which are constants, and zero.

    A form is constant where no path leads from it to the input, and zero where no bias adds to it.
    """
    layers = [layer.absolute() for layer in region.layers]
    unit = gamma(layers, region.x.shape[1])
    most = torch.full_like(region.x, max(1.0, *(abs(edge) for edge in threat.box)))
    gaps_size, rows_size = (
        _sums(affine_map(part, most, region.slopes), y)
        for part in (layers, [without_bias(layer) for layer in layers])
    )
    constant = rows_size == 0
    if bool(constant.any()):  # or so small that it underflows
        ones = [paths(layer) for layer in layers]
        constant = _sums(affine_map(ones, torch.ones_like(most), region.slopes), y) == 0
    small = UNDERFLOW * (1 + gaps_size.sum(1, keepdim=True) + rows_size.sum(1, keepdim=True))
    small = small + 2 * _amplified_underflow(layers)
    return unit * gaps_size + small, unit * rows_size + small, constant, gaps_size == 0


def _amplified_underflow(layers: Sequence[Layer]) -> Tensor:
    """What the layers, of weights >= 0, can make of underflow in those below them, at most."""
    lost = most = layers[0].like.new_tensor(UNDERFLOW)
    for layer in layers[1:]:
        lost = largest_row(layer) * lost + UNDERFLOW
        most = most.maximum(lost)
    return most


def _without_units(planes: Planes, smooth: Bool[Tensor, " units"]) -> Planes:
    """With hyperplanes that nothing reaches in place of those of units without a kink."""
    p = planes.gap.shape[1]
    gone = torch.cat([smooth, smooth.new_zeros(p - len(smooth))])
    return Planes(
        gap=torch.where(gone, 1.0, planes.gap),
        length=torch.where(gone, 0.0, planes.length),
        low=torch.where(gone, torch.inf, planes.low),
        error=torch.where(gone, 0.0, planes.error),
    )


def _sums(region: Region, y: Tensor) -> Tensor:
    logits = region.logits
    both = logits.gather(1, y.unsqueeze(1)) + logits.gather(1, others(y, logits.shape[1]))
    return torch.cat([*region.z, both], dim=1)
