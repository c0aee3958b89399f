"""Certified radii from a bound of the margins: decided in float64, looked for in float32."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from relu.bounds.radius_search import Secants, likely_radii, proven_radii, ranks_of, secants_of
from relu.classes import margins
from relu.network.layers import Layer, to_vectors
from relu.network.reader import in_float64, read_layers
from relu.threat import Threat

# An input whose smallest margin in float32 is below minus this part of its largest logit (or of 1)
# is not tried in float64.
SCREEN = 1e-2
NEAREST_START = 1e-3  # of eps: a search begins no nearer to the input

Prover = Callable[[tuple[Layer, ...], Tensor, Tensor, Tensor], Tensor]
"""prove(layers, x, y, eps): lower bounds, per input, of the smallest margin over its ball; x in the
layers' precision, eps in float64"""


@torch.no_grad()
def certified(
    net: nn.Module,
    x: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    prove: Prover,
    *,
    threat: Threat,
    low: Float[Tensor, " n"],
    high: Float[Tensor, " n"],
    bisection_steps: int,
    search: Prover | None = None,
    start: Float[Tensor, " n"] | None = None,
) -> Float[Tensor, " n"]:
    """Radii at which a margin was found to be positive in float64, here; 0 where there are none.

    First the threat's eps is asked about, then the radius, in at most `bisection_steps` questions
    to float64 for each input (radius_search.py). inf where the ball holds the whole box.
    low, high: what others say of each radius: what is decided at eps is not asked about there, and
    no radius from `high` on; a `low` is asked about where the search ends just below it. search:
    what is asked about the radius, where `prove` would be too dear. start: radii that a weaker
    bound has proven before, from which it goes on.
    """
    question = _Question(net, x, y)
    eps = threat.each(x)
    proven = torch.zeros_like(low) if start is None else start.clone()
    asked = ((low < eps) & (high > eps) & (proven < eps)).nonzero().squeeze(1)
    holds, margin = question.holds(prove, asked, eps[asked])
    proven[asked[holds]] = eps[asked[holds]]
    secants = secants_of(question.margin)
    if search is None:
        secants.add(asked, eps[asked], margin)
    stop = high.minimum(threat.farthest(x))
    rows = (proven < stop).nonzero().squeeze(1)
    if bisection_steps and len(rows):
        searching = _Search(question, search or prove, rows, secants.of(rows))
        proven[rows] = searching.radii(
            first=eps[rows] if start is None else proven[rows].maximum(NEAREST_START * eps[rows]),
            good=proven[rows],
            known=low[rows],
            high=high[rows],
            stop=stop[rows],
            questions=bisection_steps,
        )
    return threat.saturated(x, proven)


class _Question:
    """The margins of inputs over balls of a radius each: likely, in float32; proven, in float64."""

    def __init__(self, net: nn.Module, x: Tensor, y: Tensor) -> None:
        shape = tuple(x.shape[1:])
        exact = in_float64(net)
        self.quick, self.exact = (read_layers(some, shape) for some in (net, exact))
        self.x, self.exact_x = to_vectors(self.quick, x), to_vectors(self.exact, x.double())
        self.y = y
        logits = net(x)
        self.screen = -SCREEN * logits.abs().amax(1).clamp_min(1)
        self.margin = margins(exact(x.double()), y)

    def likely(self, prove: Prover, which: Tensor, eps: Tensor) -> Tensor:
        """The smallest margins, as float32 sees them."""
        margin: Tensor = prove(self.quick, self.x[which], self.y[which], eps)
        return margin

    def proven(self, prove: Prover, which: Tensor, eps: Tensor) -> Tensor:
        """The smallest margins, bounded in float64."""
        margin: Tensor = prove(self.exact, self.exact_x[which], self.y[which], eps)
        return margin

    def holds(self, prove: Prover, which: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Which are certified, and margins as float32 sees them."""
        if not len(which):
            return torch.zeros_like(which, dtype=torch.bool), eps
        margin = self.likely(prove, which, eps)
        good = ~(margin <= self.screen[which])
        if good.any():
            good[good.clone()] = self.proven(prove, which[good], eps[good]) > 0
        return good, margin


@dataclass(frozen=True, eq=False)
class _Search:
    """Of the radii of some inputs."""

    question: _Question
    prove: Prover
    which: Int[Tensor, " n"]
    secants: Secants

    def likely(self, rows: Tensor, radius: Tensor) -> Tensor:
        return self.question.likely(self.prove, self.which[rows], radius)

    def proven(self, rows: Tensor, radius: Tensor) -> Tensor:
        return self.question.proven(self.prove, self.which[rows], radius)

    def radii(
        self,
        *,
        first: Tensor,
        good: Tensor,
        known: Tensor,
        high: Tensor,
        stop: Tensor,
        questions: int,
    ) -> Tensor:
        """Radii at which the bound holds, below `stop`, or there if nothing of the box is beyond.

        first: where the search begins, where nothing is known; good: what is proven already; known:
        what others certify; high: the nearest witness.
        """
        guess = likely_radii(self.likely, self.secants, first.minimum(stop), stop)
        whole = (guess >= stop) & (high > stop)
        found = good.maximum(self._holding(whole, stop))
        radii, failed = proven_radii(
            self.proven, self.secants, guess, good=found, bad=stop, questions=questions
        )
        found = found.maximum(radii)
        rest = (radii > 0) & (failed >= stop) & (ranks_of(found) >= ranks_of(stop) - 1)
        found = found.maximum(self._holding(rest & (found < stop) & (high > stop), stop))
        return found.maximum(self._holding((found < known) & (known < failed), known))

    def _holding(self, asked: Tensor, radius: Tensor) -> Tensor:
        """The radii that were asked about and hold; 0 elsewhere."""
        rows = asked.nonzero().squeeze(1)
        found = torch.zeros_like(radius)
        if len(rows):
            holds = self.proven(rows, radius[rows]) > 0
            found[rows[holds]] = radius[rows[holds]]
        return found
