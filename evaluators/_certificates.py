"""What the evaluators that bound margins share: the question at eps, the radius, the evidence."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from evaluators._outcomes import worked_on
from evaluators.interface import Evidence, Interval
from relu.certify import Prover, certified
from relu.threat import Threat


def certificates(
    net: nn.Module,
    x: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    prove: Prover,
    *,
    threat: Threat,
    known: Interval,
    halvings: int,
    search: Prover | None = None,
) -> Evidence:
    """Evidence from a bound of the smallest margin, for inputs that are not decided.

    halvings: questions to float64 beyond the one at eps; search: what they ask, if not `prove`.
    """
    wanted = known.unsettled if halvings else known.straddles(threat.eps)
    rows = wanted.nonzero().squeeze(1)
    low = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    found = worked_on(wanted)
    outcome = list(found["outcome"])
    if len(rows):
        low[rows] = certified(
            net, x[rows], y[rows], prove, threat=threat, low=known.low[rows],
            high=known.high[rows], halvings=halvings, search=search,
        )  # fmt: skip
        for row in rows.tolist():
            outcome[row] = "done" if low[row] > 0 else "done: nothing new proven"
    nothing = torch.full_like(x, torch.nan)
    return Evidence(low=low, witness=nothing, outcome=outcome, status=found["status"])
