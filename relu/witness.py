"""Adversarial inputs: what counts as one, and how to bring one closer."""

import copy

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from relu.networks import margins

FIRST, LAST = 2.0**-22, 2.0**-7  # of the way from x: what float32 may err by, and far more


def in_float64(net: nn.Module) -> nn.Module:
    """A copy of the network that computes in float64, its parameters without gradients."""
    return copy.deepcopy(net).double().requires_grad_(False).eval()


@torch.no_grad()
def adversarial(
    exact_net: nn.Module, z: Float[Tensor, "n *shape"], y: Int[Tensor, " n"], *, batch: int = 2048
) -> Bool[Tensor, " n"]:
    """Whether a float64 network fails to give z the class y; a tie counts [CAH19, eq. 2]."""
    parts = zip(z.split(batch), y.split(batch), strict=True)
    return torch.cat([~(margins(exact_net(a.double()), b) > 0) for a, b in parts])


@torch.no_grad()
def outward(
    exact_net: nn.Module,
    x: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    z: Float[Tensor, "n *shape"],
    box: tuple[float, float],
) -> Float[Tensor, "n *shape"]:
    """z, moved away from x just so far that it fools in float64; NaN where that is too far.

    For points that fool a network in float32: its rounding may have placed them before the
    boundary, or outside a box whose edges are no float32. The moves double from FIRST to LAST of
    the way from x.
    """
    z = z.clamp(*box)
    left = (~adversarial(exact_net, z, y)).nonzero().squeeze(1)
    share = FIRST
    while len(left) and share <= LAST:
        moved = (z[left] + share * (z[left] - x[left])).clamp(*box)
        good = adversarial(exact_net, moved, y[left])
        z[left[good]] = moved[good]
        left, share = left[~good], 2 * share
    z[left] = torch.nan
    return z


def closer(
    exact_net: nn.Module,
    x: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    witness: Float[Tensor, "n *shape"],
    *,
    steps: int,
) -> Float[Tensor, "n *shape"]:
    """The nearest adversarial point that bisection finds on the segment from x to each witness.

    Every accepted point was itself adversarial in float64, at its final rounding; an input with
    no better point keeps its witness.
    """
    best = witness.clone()
    shape = (-1, *[1] * (x.ndim - 1))
    low, high = torch.zeros(len(x), device=x.device), torch.ones(len(x), device=x.device)
    for _ in range(steps if len(x) else 0):
        middle = (low + high) / 2
        point = x + (witness - x) * middle.view(shape)
        hit = adversarial(exact_net, point, y)
        best = torch.where(hit.view(shape), point, best)
        high, low = torch.where(hit, middle, high), torch.where(hit, low, middle)
    return best
