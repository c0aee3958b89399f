"""Certified radii from a bound of the margins: decided in float64, searched for in float32."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from relu.layers import Layer, read_layers, to_vectors
from relu.threat import Threat
from relu.witness import in_float64

# An input whose smallest margin in float32 is below minus this part of its largest logit (or of 1)
# is not tried in float64.
SCREEN = 1e-2
LEAST = 1e-200  # a margin must exceed this: rounding is bounded, underflow is not
SHARES = (1.0, 0.99, 0.9)  # of what float32 gained, tried in float64 one after the other


Prover = Callable[[tuple[Layer, ...], Tensor, Tensor, Tensor], Tensor]
"""prove(layers, x, y, eps): lower bounds, per input, of the smallest margin over its ball; x in the
layers' precision, eps in float64"""


@torch.no_grad()
def certified(
    net: nn.Module, x: Float[Tensor, "n *shape"], y: Int[Tensor, " n"], prove: Prover, *,
    threat: Threat, low: Float[Tensor, " n"], high: Float[Tensor, " n"], halvings: int,
    search: Prover | None = None,
) -> Float[Tensor, " n"]:  # fmt: skip
    """Radii at which a margin was found to be positive in float64; 0 where there are none.

    First the threat's eps is asked about, then the radius: bisection in float32 between what is
    proven and `high`, so many times, whose result counts only once float64 has confirmed that
    very radius. low, high: what is known of each radius; only what is above low is looked for.
    search: what is asked about the radius, where `prove` would be too dear.
    """
    question = _Question(net, x, y)
    eps = torch.full_like(low, threat.eps)
    asked = (low < eps) & (high > eps)
    rows = asked.nonzero().squeeze(1)
    proven = torch.zeros_like(low)
    proven[rows[question.holds(prove, rows, eps[rows])]] = threat.eps
    if halvings:
        stop = high.clamp_max(_reach(x, threat))
        stop = torch.where(asked & (proven == 0), stop.clamp_max(threat.eps), stop)
        start = proven.maximum(low)
        proven = proven.maximum(_radii(question, search or prove, start, stop, halvings))
    return proven


class _Question:
    """Whether inputs are certified at a radius each: likely, in float32; or proven, in float64."""

    def __init__(self, net: nn.Module, x: Tensor, y: Tensor) -> None:
        shape = tuple(x.shape[1:])
        self.quick, self.exact = (read_layers(some, shape) for some in (net, in_float64(net)))
        self.x, self.exact_x = to_vectors(self.quick, x), to_vectors(self.exact, x.double())
        self.y = y
        self.screen = -SCREEN * net(x).abs().amax(1).clamp_min(1)

    def likely(self, prove: Prover, which: Tensor, eps: Tensor) -> Tensor:
        """The smallest margins, as float32 sees them."""
        margin: Tensor = prove(self.quick, self.x[which], self.y[which], eps)
        return margin

    def holds(self, prove: Prover, which: Tensor, eps: Tensor) -> Tensor:
        """Which are certified."""
        if not len(which):
            return torch.zeros_like(which, dtype=torch.bool)
        good: Tensor = self.likely(prove, which, eps) > self.screen[which]
        if good.any():
            rows = which[good]
            margin = prove(self.exact, self.exact_x[rows], self.y[rows], eps[good])
            good[good.clone()] = margin > LEAST
        return good


def _radii(
    question: _Question, prove: Prover, start: Tensor, stop: Tensor, halvings: int
) -> Tensor:
    """Proven radii above `start`; 0 where there are none."""
    proven = torch.zeros_like(start)
    which = (start < stop).nonzero().squeeze(1)
    if not len(which):
        return proven
    start, stop = start[which], stop[which]

    def likely(radius: Tensor) -> Tensor:
        return question.likely(prove, which, radius) > 0

    gain = _bisected(likely, start, stop, halvings) - start
    for share in SHARES:
        rows = (gain > 0).nonzero().squeeze(1)
        radius = start[rows] + share * gain[rows]
        good = question.holds(prove, which[rows], radius)
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
