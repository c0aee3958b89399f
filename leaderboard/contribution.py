"""What each evaluator contributed to a row: which inputs it decided, alone or not, and how well."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.jobs.verdict import Verdict
from evaluators.interface import EXACT, certified_at, exact_at, fooled_at
from leaderboard.row import Contribution


def exact_radii(verdict: Verdict) -> np.ndarray:
    """The radius of each input, NaN where it is not known, 0 or infinite."""
    low = verdict.table["low"].to_numpy()
    high = verdict.table["high"].to_numpy()
    with np.errstate(invalid="ignore"):
        known = exact_at(low, high) & (low > 0) & np.isfinite(high)
    return np.where(known, high, np.nan)


def own_bounds(
    verdict: Verdict, evidence: Mapping[str, pd.DataFrame]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Each evaluator's own low and high of each input; the low of one that is contradicted is 0."""
    contradicted_evaluators = {c.low_by for c in verdict.contradictions}
    bounds = {}
    for name, table in evidence.items():
        rows = table.set_index("index").reindex(verdict.table["index"])
        low = rows["low"].fillna(0.0).to_numpy()
        withdrawn = np.zeros_like(low) if name in contradicted_evaluators else low
        bounds[name] = withdrawn, rows["high"].fillna(np.inf).to_numpy()
    return bounds


def contributions(
    verdict: Verdict,
    evidence: Mapping[str, pd.DataFrame],
    correct: np.ndarray,
    eps: float | np.ndarray,
) -> dict[str, Contribution]:
    """What each evaluator contributed.

    correct: whether each input is classified correctly. eps: of all inputs, or of each.
    """
    bounds = own_bounds(verdict, evidence)
    exact = exact_radii(verdict)
    fooled = {name: correct & fooled_at(high, eps) for name, (_, high) in bounds.items()}
    certified = {name: correct & certified_at(low, eps) for name, (low, _) in bounds.items()}
    decided = {name: fooled[name] | certified[name] for name in bounds}
    deciders = np.sum([*decided.values(), np.zeros(len(correct))], axis=0)
    by_evaluator: dict[str, Contribution] = {}
    for name, (low, high) in bounds.items():
        at = (np.abs(low - exact) <= EXACT) | (high - exact <= EXACT)
        status = evidence[name]["status"]
        by_evaluator[name] = Contribution(
            worked=int((status != "skipped").sum()),
            fooled=int(fooled[name].sum()),
            certified=int(certified[name].sum()),
            alone=int((decided[name] & (deciders == 1)).sum()),
            exact=int(at.sum()),
            radius_low=float(low.mean()) if np.isfinite(low).all() else None,
            excess=_mean(high[np.isfinite(high)] / exact[np.isfinite(high)] - 1),
        )
    return by_evaluator


def excess_over(low: np.ndarray, exact: np.ndarray) -> float | None:
    """How much larger exact radii are than one evaluator's lows: ratio of means, minus 1.

    Over the inputs whose radius is known; None where there is none, or no low [CAH19, Table 3].
    """
    known = ~np.isnan(exact)
    total = float(low[known].sum())
    return float(exact[known].sum()) / total - 1 if total > 0 else None


def radius_statistics(
    verdict: Verdict,
    evidence: Mapping[str, pd.DataFrame],
    correct: np.ndarray,
    settings: Mapping[str, Any],
) -> dict[str, float | None]:
    """exact_correct_share: of the correctly classified inputs, those whose radius is exact.

    exact_over_kw: see `excess_over`; None where KW did not look for radii.
    """
    exact = exact_radii(verdict)
    bounds = own_bounds(verdict, evidence)
    searched = "kw" in bounds and settings.get("kw.bisection_steps", settings.get("kw.halvings", 0))
    share = float((~np.isnan(exact[correct])).mean()) if correct.any() else None
    over = excess_over(bounds["kw"][0], exact) if searched else None
    return {"exact_correct_share": share, "exact_over_kw": over}


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    """Of the numbers that are known."""
    known = np.asarray(values)[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
