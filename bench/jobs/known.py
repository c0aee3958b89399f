"""What a judging is told: the intervals and witnesses that earlier evidence gives its inputs."""

from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor

from bench.jobs.job import Job
from bench.jobs.payloads import JudgePayload
from bench.jobs.verdict import combine
from bench.store.results import Store
from evaluators.interface import Interval


def known_interval(store: Store, job: Job, payload: JudgePayload, x: Tensor) -> Interval:
    """What the clean inputs and the evaluators before this one prove of x, on x's device."""
    _, clean_key = job.after
    clean = store.load_clean(clean_key)[payload.part]
    evidence = {
        key: store.load_evidence(key) for key in job.informed_by if store.has("evidence", key)
    }
    table = combine(clean, evidence, withdrawn=payload.withdrawn or ()).table
    low = torch.tensor(table["low"].to_numpy())
    high = torch.tensor(table["high"].to_numpy())
    witness = nearest_witnesses(store, evidence, x, payload.start)
    return Interval(low=low.to(x.device), high=high.to(x.device), witness=witness.to(x.device))


def nearest_witnesses(
    store: Store, evidence: Mapping[str, pd.DataFrame], x: Tensor, start: int
) -> Tensor:
    """The nearest witness of each x, whose first one is test input `start`; NaN: none."""
    best = torch.full_like(x, torch.nan, dtype=torch.float64, device="cpu")
    nearest = torch.full((len(x),), torch.inf, dtype=torch.float64)
    for key, table in evidence.items():
        index, witness = store.load_witnesses(key)
        high = torch.tensor(table.set_index("index")["high"].loc[index.numpy()].to_numpy())
        rows = index - start
        candidates = ((rows >= 0) & (rows < len(x))).nonzero().squeeze(1)
        candidates = candidates[high[candidates] < nearest[rows[candidates]]]
        nearest[rows[candidates]] = high[candidates]
        best[rows[candidates]] = witness[candidates].double()
    return best
