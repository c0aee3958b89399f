"""What an evaluator says of inputs: in parts that fit into memory, one by one where it raises."""

from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor, nn

from bench.jobs.by_radius import judge_by_radius
from bench.jobs.isolation import Isolation
from bench.jobs.out_of_memory import in_parts
from bench.jobs.verdict import Replay, joined
from evaluators.interface import Evaluator, Evidence, Interval
from relu.threat import Threat


def isolated(
    evaluator: Evaluator,
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    threat: Threat,
    known: Interval,
    seed: int,
    note: Callable[[str], None] = lambda _: None,
) -> Isolation:
    """Judges parts of x by an evaluator, which draws from torch's generator, seeded for each part.

    note: is told where a part had to be halved for want of memory.
    """

    def judge(start: int, stop: int) -> Evidence:
        torch.manual_seed(seed + start)
        part = slice(start, stop)
        return judge_by_radius(
            evaluator, net, x[part], y[part], threat=threat.at(part), known=known.part(part)
        )

    def fitting(start: int, stop: int) -> Evidence:
        parts = in_parts(
            lambda first, last: judge(start + first, start + last), stop - start, note=note
        )
        return joined(parts)

    return Isolation(fitting, x)


def evidence_table(
    start: int, checked: Replay, seconds: float, each: Tensor | None
) -> pd.DataFrame:
    """A row per input; wall time goes to the inputs that were worked on, unless `each` says."""
    status = pd.Series(checked.status, dtype=str)
    if each is None:
        worked = (status != "skipped").to_numpy()
        shares = worked * (seconds / max(1, worked.sum()))
    else:
        shares = each.double().cpu().numpy()
    return pd.DataFrame(
        {
            "index": range(start, start + len(status)),
            "low": checked.low.numpy(),
            "high": checked.high.numpy(),
            "seconds": shares,
            "status": status,
            "outcome": checked.outcome,
        }
    )
