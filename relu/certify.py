"""Certified radii from a bound of the margins: decided in float64, searched for in float32."""

from collections.abc import Callable
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from relu.layers import Layer, read_layers, to_vectors
from relu.threat import Threat
from relu.witness import in_float64

SCREEN = 1e-2  # an input whose smallest margin is that negative in float32 is not tried in float64
SHARES = (1.0, 0.99, 0.9)  # of what float32 gained, tried in float64 one after the other


class Prover(Protocol):
    """Lower bounds, per input, of the smallest margin over the ball of radius eps around x."""

    def __call__(
        self, layers: tuple[Layer, ...], x: Float[Tensor, "m d"], y: Int[Tensor, " m"],
        eps: Float[Tensor, " m"],
    ) -> Float[Tensor, " m"]: ...  # fmt: skip


@torch.no_grad()
def certified(
    net: nn.Module, x: Float[Tensor, "n *shape"], y: Int[Tensor, " n"], prove: Prover, *,
    threat: Threat, low: Float[Tensor, " n"], high: Float[Tensor, " n"], halvings: int,
) -> Float[Tensor, " n"]:  # fmt: skip
    """Radii at which `prove` finds a positive margin in float64; 0 where it finds none.

    First the threat's eps is asked about, then the radius: bisection in float32 between what is
    proven and `high`, so many times, whose result counts only once float64 has confirmed that
    very radius. low, high: what is known of each radius; only what is above low is looked for.
    """
    shape = tuple(x.shape[1:])
    quick, exact = (read_layers(some, shape) for some in (net, in_float64(net)))
    vectors, wide = to_vectors(exact, x.double()), to_vectors(quick, x)

    def likely(which: Tensor, eps: Tensor) -> Tensor:
        """Smallest margins in float32: no proof."""
        return prove(quick, wide[which], y[which], eps)

    def holds(which: Tensor, eps: Tensor) -> Tensor:
        """Which of these inputs are certified at their eps."""
        good = likely(which, eps) > -SCREEN
        rows = which[good]
        good[good.clone()] = prove(exact, vectors[rows], y[rows], eps[good]) > 0
        return good

    eps = torch.full_like(low, threat.eps)
    asked = ((low < eps) & (high > eps)).nonzero().squeeze(1)
    sure = asked[holds(asked, eps[asked])]
    proven = torch.zeros_like(low).index_fill_(0, sure, threat.eps)
    if not halvings:
        return proven
    start, stop = proven.maximum(low), high.clamp_max(_reach(x, threat))
    refused = torch.zeros_like(low, dtype=torch.bool).index_fill_(0, asked, True) & (proven == 0)
    stop = torch.where(refused, stop.clamp_max(threat.eps), stop)
    which = (start < stop).nonzero().squeeze(1)
    start = start[which]
    gain = _bisected(lambda radius: likely(which, radius) > 0, start, stop[which], halvings) - start
    for share in SHARES:
        rows = (gain > 0).nonzero().squeeze(1)
        radius = start[rows] + share * gain[rows]
        good = holds(which[rows], radius)
        proven[which[rows[good]]] = radius[good]
        gain[rows[good]] = 0
    return proven


def _bisected(
    holds: Callable[[Tensor], Tensor], good: Tensor, bad: Tensor, halvings: int
) -> Tensor:
    """The largest radii between good and bad at which bisection saw the question answered yes."""
    for _ in range(halvings):
        middle = (good + bad) / 2
        yes = holds(middle)
        good, bad = torch.where(yes, middle, good), torch.where(yes, bad, middle)
    return good


def _reach(x: Tensor, threat: Threat) -> float:
    """How far any two points of the box can be from each other."""
    low, high = threat.box
    return float(threat.length(torch.full_like(x[:1], high - low).double()))
