"""Lower bounds of forms on boxes of pre-activations, by multipliers.

For any multipliers lambda, one for each unit, a form g of (delta, a) satisfies

    g  =  g + sum_u lambda_u (M_u (delta, a) + b_u - z_u)
       =  S delta + sum_u (v_u a_u - lambda_u z_u) + const,

where v_u is what g and all forms above u have of a_u. Each summand is bounded apart: S delta by
the ball; the others, linear between z = low, 0 and high, by the least of their values there. With
lambda = (slope of a line of the unit) v this is CROWN's bound [ZWCHD18]; on boxes that a split has
cut, lambda = v - beta with a beta of the right sign is beta-CROWN's [WZXLJHK21]; with a beta for
every unit it is the dual of the linear program of all lines and boxes. The bound is concave in
lambda and holds whatever lambda is: multipliers of any precision prove it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from relu.bounds.ball import Perturbations
from relu.bounds.reduced.boxes import Boxes, Ends, Slopes, ends_of
from relu.bounds.reduced.disks import gains
from relu.bounds.reduced.forms import Forms
from relu.bounds.reduced.network import ReducedNetwork
from relu.rounding import UNDERFLOW

ROOM = 4.0
"""a bound from forms is off by at most this many times what the forms themselves are"""


@dataclass(frozen=True, eq=False)
class Bounded:
    """Bounds, and how they came about: v, lambda, and what is left on the input (S)."""

    bound: Float[Tensor, " m"]
    v: Float[Tensor, "N m"]
    multipliers: Float[Tensor, "N m"]
    input: Float[Tensor, "d m"]


@dataclass(frozen=True, eq=False)
class Minimiser:
    """Where bounds are attained, if boxes are not pushed against: delta and outputs; z."""

    points: Float[Tensor, "columns m"]
    z: Float[Tensor, "N m"]


def bounded(net: ReducedNetwork, asked: Forms, boxes: Boxes, slopes: Slopes) -> Bounded:
    """Bounds of forms, each on its box, with multipliers from slopes."""
    sweep = _Sweep(net, asked)
    for k in range(len(net.hidden) - 1, -1, -1):
        sweep.take(k, sweep.on_lines(k, boxes, slopes) - slopes.beta[net.slices[k]])
    return sweep.finished(boxes.ends)


def with_level_lines(net: ReducedNetwork, asked: Forms, boxes: Boxes, slopes: Slopes) -> Slopes:
    """The slopes, with betas that make the upper lines of maxima level (lambda = 0)."""
    if not bool(net.maxima.any()):
        return slopes
    sweep = _Sweep(net, asked)
    beta = slopes.beta.clone()
    for k in range(len(net.hidden) - 1, -1, -1):
        part = net.slices[k]
        multipliers = sweep.on_lines(k, boxes, slopes)
        level = net.maxima[part].unsqueeze(1) & (multipliers < 0)
        beta[part] = torch.where(level, multipliers, beta[part])
        sweep.take(k, multipliers - beta[part])
    return Slopes(slopes.alpha, beta)


def carried(
    net: ReducedNetwork,
    asked: Forms,
    boxes: Boxes,
    slopes: Slopes,
    multipliers: Float[Tensor, "N m"],
) -> Slopes:
    """Slopes on boxes that have shrunk: as they were, or with the multipliers that they gave.

    The bound with the same multipliers is no worse than it was on the larger boxes, while lines
    move with the boxes, mostly to the better. Of each question, what gives the better bound.
    """
    sweep = _Sweep(net, asked)
    beta = torch.empty_like(slopes.beta)
    for k in range(len(net.hidden) - 1, -1, -1):
        part = net.slices[k]
        beta[part] = sweep.on_lines(k, boxes, slopes) - multipliers[part]
        sweep.take(k, multipliers[part])
    moved = bounded(net, asked, boxes, slopes).bound
    better = sweep.finished(boxes.ends).bound > moved
    return Slopes(slopes.alpha, torch.where(better, beta, slopes.beta))


def safe_bounds(
    net: ReducedNetwork,
    asked: Forms,
    low: Float[Tensor, "N m"],
    high: Float[Tensor, "N m"],
    multipliers: Float[Tensor, "N m"],
) -> Float[Tensor, " m"]:
    """Bounds for the network itself, in float64, less all that rounding may have done to them.

    A form is off by at most `unit` times its size, the sum of absolute values of all its terms; a
    coefficient of a sum of forms by as much of what it is the sum of. Over all, that is
    unit (size + sum_u |lambda_u| size_u), for the forms and for the sums; ROOM covers both, and the
    products of the summands. Products that underflow lose up to UNDERFLOW times all of that, and a
    coefficient that does, times whatever it is multiplied by, which `total` has.
    """
    assert net.low.dtype == multipliers.dtype == torch.float64
    sweep = _Sweep(net, asked)
    for k in range(len(net.hidden) - 1, -1, -1):
        sweep.take(k, multipliers[net.slices[k]])
    weights = multipliers.abs()
    size = asked.size + net.size @ weights
    lost = size + net.total * (1 + weights.sum(0))
    error = ROOM * net.unit * size + UNDERFLOW * lost
    ends = ends_of(low, high, net.leak.unsqueeze(1))
    return sweep.finished(ends, unit=net.unit).bound - error


def coupled_bounds(
    net: ReducedNetwork, asked: Forms, boxes: Boxes, multipliers: Float[Tensor, "N m"]
) -> Float[Tensor, " m"]:
    """Bounds with these multipliers, and with what is gained where units of a layer lie together.

    As `safe_bounds`, but in any precision: they prove nothing.
    """
    sweep = _Sweep(net, asked)
    for k in range(len(net.hidden) - 1, -1, -1):
        sweep.take(k, multipliers[net.slices[k]])
    return sweep.finished(boxes.ends, unit=0.0).bound


def minimiser(net: ReducedNetwork, boxes: Boxes, slopes: Slopes, at: Bounded) -> Minimiser:
    """Where the bounds are attained: the units' outputs lie on the lines that bound them."""
    points = torch.cat([least_delta(net.deltas, at.input), at.v])
    z = torch.empty_like(at.v)
    below = at.v.sign().clamp_min(0)  # whether a lower line bounds the unit
    slope = torch.addcmul(boxes.upper, below, boxes.lower(slopes.alpha) - boxes.upper)
    offset = torch.addcmul(boxes.height, below, boxes.height, value=-1)
    for part, forms in zip(net.slices, net.hidden, strict=True):
        z[part] = forms.forward(points[: net.d + part.start])
        points[net.d + part.start : net.d + part.stop] = torch.addcmul(
            offset[part], slope[part], z[part]
        )
    return Minimiser(points, z)


def true_points(net: ReducedNetwork, delta: Float[Tensor, "d m"]) -> Float[Tensor, "columns m"]:
    """(delta, a) with the network's own outputs a."""
    points = torch.cat([delta, delta.new_empty(len(net.low), delta.shape[1])])
    for part, forms in zip(net.slices, net.hidden, strict=True):
        z = forms.forward(points[: net.d + part.start])
        leak = net.leak[part].unsqueeze(1)
        points[net.d + part.start : net.d + part.stop] = torch.where(z > 0, z, leak * z)
    return points


def least_delta(deltas: Perturbations, rows: Float[Tensor, "d m"]) -> Float[Tensor, "d m"]:
    """The perturbations at which rows are least."""
    if deltas.norm.box_shaped:
        return -rows.sign() * deltas.up.T
    with torch.enable_grad():
        free = rows.detach().T.unsqueeze(0).requires_grad_()
        fall = deltas.support_below(free).sum()
        return -torch.autograd.grad(fall, free)[0][0].T


class _Sweep:
    """A sum of forms that grows layer by layer, from above."""

    def __init__(self, net: ReducedNetwork, asked: Forms) -> None:
        self.net = net
        self.state = asked.rows.new_zeros(net.columns, len(asked.rows))
        self.state[: asked.rows.shape[1]] = asked.rows.T
        self.const = asked.offset.clone()
        self.multipliers = torch.zeros_like(self.state[net.d :])

    def coefficients(self, k: int) -> Tensor:
        """V of the units of layer k, all forms above being in."""
        part = self.net.slices[k]
        return self.state[self.net.d + part.start : self.net.d + part.stop]

    def on_lines(self, k: int, boxes: Boxes, slopes: Slopes) -> Tensor:
        """V of the units of layer k, times the slopes of the lines that bound them from below."""
        part = self.net.slices[k]
        v = self.coefficients(k)
        start, rise = boxes.line
        lower = torch.addcmul(start[part], rise[part], slopes.alpha[part])
        return (v.clamp_max(0) * boxes.upper[part]).addcmul_(v.clamp_min(0), lower)

    def take(self, k: int, multipliers: Tensor) -> None:
        """Adds the forms of layer k, times these."""
        part = self.net.slices[k]
        forms = self.net.hidden[k]
        self.multipliers[part] = multipliers
        forms.add_transposed(self.state[: self.net.d + part.start], multipliers)
        self.const.addmv_(multipliers.T, forms.offset)

    def finished(self, ends: Ends, *, unit: float | None = None) -> Bounded:
        """The bounds on boxes, all forms being in; unit: in the layers' balls, too, rounded so."""
        d = self.net.d
        rows = self.state[:d]
        v = self.state[d:]
        terms = _least(v, self.multipliers, ends)
        least = terms.sum(0)
        if unit is not None:
            least = least + gains(
                self.net, terms, v, self.multipliers, ends.low, ends.high, unit=unit
            )
        fall = self.net.deltas.support_below(rows.T.unsqueeze(0))[0]
        return Bounded(self.const + least - fall, v, self.multipliers, rows)


def _least(v: Tensor, multipliers: Tensor, ends: Ends) -> Tensor:
    """Min of v a - lambda z over low <= z <= high; at 0 too, where it lies between."""
    low = (v * ends.at_low).addcmul_(multipliers, ends.low, value=-1)
    high = (v * ends.at_high).addcmul_(multipliers, ends.high, value=-1)
    return low.minimum(high).minimum(ends.least)
