"""CROWN, and alpha-CROWN: lower lines chosen by area, or by ascent on the bound itself.

A unit that may switch can have any lower slope in [0, 1]. CROWN takes 0 or 1 [ZWCHD18];
alpha-CROWN [XZWJ21] improves them by gradient ascent, here for each rival class apart and
with the bounds of hidden units as they are. Whatever slopes come out, the bound holds.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.batching import at_once, groups
from relu.bounds.ball import Ball
from relu.bounds.linear import margin_lower_bounds, relax
from relu.bounds.relaxation import LinearRelaxation
from relu.bounds.relaxed_network import HiddenBounds, RelaxedNetwork
from relu.network.activation import crossing
from relu.network.layers import Layer

RATE = 0.1  # of the ascent's first step, in slopes; it falls to a tenth of that


@torch.no_grad()
def tightest_margins(
    layers: Sequence[Layer],
    ball: Ball,
    y: Int[Tensor, " n"],
    *,
    iterations: int,
    largest: Sequence[float] | None = None,
) -> Float[Tensor, "n k1"]:
    """The best of several lower bounds of f_y - f_s over the ball, class by class.

    KW's and CROWN's bounds; both again with the better of their bounds of each hidden unit; and,
    of inputs that are not certified by then, the last of these with slopes improved by so many
    iterations.
    """
    found = relaxations(layers, ball, largest)
    bounds = torch.stack([margin_lower_bounds(relaxed, y) for relaxed in found])
    best = bounds.nan_to_num(-torch.inf, torch.inf, -torch.inf).amax(0)  # one may overflow
    left = (~(best.amin(1) > 0)).nonzero().squeeze(1)
    if iterations and len(left):
        improved = improved_margins(found[-1].at(left), y[left], iterations=iterations)
        best[left] = best[left].maximum(improved)
    return best


def relaxations(
    layers: Sequence[Layer], ball: Ball, largest: Sequence[float] | None = None
) -> list[RelaxedNetwork]:
    """KW's relaxation and CROWN's; and both again, with the better of their bounds of each unit.

    largest: as of `relax`.
    """
    kw = relax(layers, ball, "kw")
    crown = relax(layers, ball, "crown", largest=largest)
    known = [
        HiddenBounds(a.low.maximum(b.low), a.high.minimum(b.high), b.level)
        for a, b in zip(kw.hidden, crown.hidden, strict=True)
    ]
    again = relax(layers, ball, "kw", known=known)
    return [kw, crown, again, relax(layers, ball, "crown", known=known, largest=largest)]


@torch.no_grad()
def improved_margins(
    relaxed: RelaxedNetwork, y: Int[Tensor, " n"], *, iterations: int
) -> Float[Tensor, "n k1"]:
    """Margins with lower slopes that ascent improves, class by class; never below `margins`."""
    if not relaxed.lines:
        return margin_lower_bounds(relaxed, y)
    units = sum(low.shape[1] for low in relaxed.low)
    classes = relaxed.rounding.shape[1]
    parts = groups(len(y), at_once(y.device) // (units * (classes - 1)))
    return torch.cat([_ascended(relaxed.at(part), y[part], iterations) for part in parts])


def _ascended(relaxed: RelaxedNetwork, y: Tensor, iterations: int) -> Tensor:
    other_classes = relaxed.rounding.shape[1] - 1
    slopes = [
        lines.lower.unsqueeze(1).repeat(1, other_classes, 1).requires_grad_()
        for lines in relaxed.lines
    ]
    adam = torch.optim.Adam(slopes, lr=RATE)
    best = margin_lower_bounds(relaxed, y)
    coupled = relaxed
    relaxed = relaxed.uncoupled()
    for i in range(iterations):
        with torch.enable_grad():
            found = margin_lower_bounds(_with_slopes(relaxed, slopes), y)
            adam.zero_grad()
            found.sum().neg().backward()
        best = best.maximum(found.detach())
        for group in adam.param_groups:
            group["lr"] = RATE * 0.1 ** (i / iterations)
        adam.step()
        for slope, layer in zip(slopes, relaxed.layers, strict=False):
            slope.clamp_(0, 1)
            if layer.leak is not None:
                slope.clamp_(min=layer.leak)
    return best.maximum(margin_lower_bounds(_with_slopes(coupled, slopes), y))


def _with_slopes(relaxed: RelaxedNetwork, slopes: Sequence[Tensor]) -> RelaxedNetwork:
    """The relaxation with these lower slopes of units that may switch, class by class."""
    lines = [
        _tilted(old, slope, z, crossing(low, high, layer.leak), relaxed.unit)
        for old, slope, z, (low, high), layer in zip(
            relaxed.lines,
            slopes,
            relaxed.reference,
            relaxed.bounds,
            relaxed.layers,
            strict=False,
        )
    ]
    return replace(relaxed, lines=tuple(lines))


def _tilted(
    lines: LinearRelaxation, slope: Tensor, z: Tensor, open_: Tensor, unit: float
) -> LinearRelaxation:
    """Lines with other lower slopes, seen from the same place: what the unit gives at z."""
    old = lines.lower.unsqueeze(1)
    lower = torch.where(open_.unsqueeze(1), slope, old)
    below = lines.below.unsqueeze(1) + (old - lower) * z.unsqueeze(1)
    below = below + unit * below.abs()
    return replace(lines, lower=lower, below=below, parallel=False, even=False)
