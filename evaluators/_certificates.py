"""What the evaluators that bound margins share: the question at eps, the radius, the evidence."""

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from evaluators._outcomes import worked_on
from evaluators.interface import Evidence, Interval
from relu.bounds.ball import ball_of
from relu.bounds.certified_radius import Prover, certified
from relu.bounds.linear import margin_lower_bounds, relax
from relu.network.layers import Layer
from relu.threat import Threat


def certificates(
    net: nn.Module,
    x: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    prove: Prover,
    *,
    threat: Threat,
    known: Interval,
    bisection_steps: int,
    search: Prover | None = None,
    weaker: Prover | None = None,
) -> Evidence:
    """Evidence from a bound of the smallest margin, for inputs that are not decided.

    bisection_steps: questions to float64 beyond the one at eps; search: what they ask, if not
    `prove`.
    weaker: a cheaper bound that is never better, whose radii are found first: none is below them.
    """
    wanted = known.unsettled if bisection_steps else known.straddles(threat.each(x))
    rows = wanted.nonzero().squeeze(1)
    low = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    outcomes = worked_on(wanted)
    outcome = list(outcomes["outcome"])
    if len(rows):
        ask = partial(
            certified,
            net,
            x[rows],
            y[rows],
            threat=threat.at(rows),
            low=known.low[rows],
            high=known.high[rows],
            bisection_steps=bisection_steps,
        )
        start = ask(weaker) if weaker and bisection_steps else None
        low[rows] = ask(prove, search=search, start=start)
        for row in rows.tolist():
            outcome[row] = "done" if low[row] > 0 else "done: nothing new proven"
    nothing = torch.full_like(x, torch.nan)
    return Evidence(low=low, witness=nothing, outcome=outcome, status=outcomes["status"])


def kw_prover(threat: Threat, *, box: bool) -> Prover:
    """The dual bound with parallel lines, inside the box or without it."""

    def prove(layers: tuple[Layer, ...], x: Tensor, y: Tensor, eps: Tensor) -> Tensor:
        ball = ball_of(x, threat, eps=eps, box=box)
        return margin_lower_bounds(relax(layers, ball, "kw"), y).amin(1)

    return prove
