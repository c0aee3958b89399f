"""Evidence, replayed and checked, becomes an interval per test input."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from evaluators.interface import Evidence, Status, contradictory
from relu.attacks.witness import adversarial
from relu.threat import Threat


class BadEvidence(RuntimeError):
    """Evidence that is malformed: wrong shapes, a radius that is negative or beyond the box."""

    cause = "bad result"


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Evidence after its replay: `high` is the bench's own, refuted witnesses are NaN."""

    low: Float[Tensor, " n"]
    high: Float[Tensor, " n"]
    witness: Float[Tensor, "n *shape"]
    outcome: list[str]
    status: list[Status]


def replay(
    exact_net: nn.Module,
    x: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    evidence: Evidence,
    *,
    threat: Threat,
) -> Replay:
    """Runs every witness through the float64 network again.

    A witness counts if every pixel is in the box (no slack) and its class is not y, whatever a
    float64 pass may be off by (relu/attacks/witness.py); high is then ||witness - x||, rounded up,
    else inf, and the outcome says why it was refused. Raises BadEvidence.
    """
    _require_sane(x, evidence, threat)
    witness = evidence.witness.to(x.device)
    present = ~witness.flatten(1).isnan().all(1)
    in_box = threat.in_box(witness)
    rows = (present & in_box).nonzero().squeeze(1)
    good = torch.zeros_like(present)
    good[rows] = adversarial(exact_net, witness[rows], y[rows])
    nothing = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
    outcome = list(evidence.outcome)
    status = evidence.statuses
    for i in (present & ~good).nonzero().squeeze(1).tolist():
        outcome[i] = f"witness refused: {'still of class y' if in_box[i] else 'outside the box'}"
        status[i] = "refused"
    return Replay(
        low=evidence.low.double().cpu(),
        high=torch.where(good, threat.distance(x, witness), nothing).cpu(),
        witness=torch.where(good.view(-1, *[1] * (x.ndim - 1)), witness, torch.nan).cpu(),
        outcome=outcome,
        status=status,
    )


def joined(parts: Sequence[Evidence]) -> Evidence:
    """The evidence about inputs that were judged in parts, in order; on the CPU.

    An evaluator may leave each tensor on the device it likes, and what the bench says of inputs
    that are lost is on another.
    """
    if len(parts) == 1:
        return parts[0]
    times = [part.seconds.cpu() for part in parts if part.seconds is not None]
    return Evidence(
        low=torch.cat([part.low.cpu() for part in parts]),
        witness=torch.cat([part.witness.cpu() for part in parts]),
        outcome=[outcome for part in parts for outcome in part.outcome],
        seconds=torch.cat(times) if len(times) == len(parts) else None,
        status=[status for part in parts for status in part.statuses],
    )


def require_whole(x: Tensor, evidence: Evidence) -> None:
    """Raises BadEvidence where it is not one low, witness and outcome for each input."""
    n = len(x)
    if evidence.low.shape != (n,) or evidence.witness.shape != x.shape:
        raise BadEvidence(
            f"expected low of shape ({n},) and witness of shape {tuple(x.shape)}, got "
            f"{tuple(evidence.low.shape)} and {tuple(evidence.witness.shape)}"
        )
    if len(evidence.outcome) != n:
        raise BadEvidence(f"expected {n} outcomes, got {len(evidence.outcome)}")


def _require_sane(x: Tensor, evidence: Evidence, threat: Threat) -> None:
    n = len(x)
    require_whole(x, evidence)
    if evidence.low.dtype != torch.float64:  # 0.1 in float32 is more than 0.1
        raise BadEvidence(f"low must be float64, got {evidence.low.dtype}")
    if not bool((evidence.low >= 0).all()):
        raise BadEvidence("every low must be a number >= 0")
    _require_within_box(x, evidence.low, threat)
    if odd := set(evidence.status or ()) - set(get_args(Status)):
        raise BadEvidence(f"status must be of {', '.join(get_args(Status))}, got {min(odd)!r}")
    times = evidence.seconds
    if times is not None and not (
        times.shape == (n,) and bool(times.isfinite().all()) and bool((times >= 0).all())
    ):
        raise BadEvidence(f"seconds must be {n} finite numbers >= 0")


def _require_within_box(x: Tensor, low: Tensor, threat: Threat) -> None:
    """A claim at or beyond the farthest point of the box is inf; another is in wrong units."""
    farthest = threat.farthest(x)
    beyond = (low.to(x.device) >= farthest) & low.to(x.device).isfinite()
    for i in beyond.nonzero().squeeze(1).tolist()[:1]:
        raise BadEvidence(
            f"low {float(low[i]):.6g} of input {i} is as far as the farthest point of the box, "
            f"{float(farthest[i]):.6g}: expected a smaller radius in pixel units, or inf where "
            "nothing in the box is adversarial"
        )


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """One evaluator's proof that another evaluator's (or the clean input's) witness refutes."""

    index: int
    low: float
    low_by: str
    high: float
    high_by: str

    def __str__(self) -> str:
        return (
            f"test input {self.index}: {self.low_by} proves radius >= {self.low:.9g}, "
            f"but {self.high_by} has a witness at {self.high:.9g}"
        )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Per test input, in float64: index, low, high; and what does not fit together.

    Where an evaluator is contradicted anywhere, all its lows are withdrawn from `table`.
    """

    table: pd.DataFrame
    contradictions: tuple[Contradiction, ...]


def merged(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One evaluator's evidence about all inputs, a row each; what it proved at any time counts.

    Where an input was judged more than once, its status and outcome are those of the last time
    that it was worked on.
    """
    table = pd.concat(tables, ignore_index=True)
    if not table["index"].duplicated().any():
        return table
    worked_last = table.sort_values("status", key=lambda s: s != "skipped", kind="stable")
    return (
        worked_last.groupby("index", sort=True)
        .agg(
            low=("low", "max"),
            high=("high", "min"),
            seconds=("seconds", "sum"),
            status=("status", "last"),
            outcome=("outcome", "last"),
        )
        .reset_index()
    )


CLEAN = "the clean input"


def combine(
    clean: pd.DataFrame, evidence: Mapping[str, pd.DataFrame], *, withdrawn: Collection[str] = ()
) -> Verdict:
    """Intersects the intervals of all evaluators input by input.

    clean: index, correct. evidence: evaluator -> index, low, high; indices it lacks are open. What
    contradicts what: `evaluators.interface.contradictory`. withdrawn: evaluators whose lows count
    for nothing, as they are contradicted elsewhere.
    """
    index = clean["index"].to_numpy()
    highs = {CLEAN: np.where(clean["correct"], np.inf, 0.0)}
    lows = {}
    for name, table in evidence.items():
        rows = table.set_index("index").reindex(index)
        lows[name] = rows["low"].fillna(0.0).to_numpy()
        highs[name] = rows["high"].fillna(np.inf).to_numpy()
    high_by = np.array(list(highs))[np.argmin(list(highs.values()), axis=0)]
    high = np.min(list(highs.values()), axis=0)
    contradictions = [
        Contradiction(
            index=int(index[i]),
            low=float(low[i]),
            low_by=name,
            high=float(high[i]),
            high_by=str(high_by[i]),
        )
        for name, low in lows.items()
        for i in np.flatnonzero(contradictory(low, high))
    ]
    contradicted_evaluators = {c.low_by for c in contradictions}.union(withdrawn)
    trusted = [low for name, low in lows.items() if name not in contradicted_evaluators]
    low = np.max([np.zeros(len(index)), *trusted], axis=0)
    return Verdict(
        table=pd.DataFrame({"index": index, "low": low, "high": high}),
        contradictions=tuple(contradictions),
    )
