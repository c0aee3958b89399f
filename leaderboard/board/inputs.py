"""What is known of each test input of a network: a frame with a line for each."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from evaluators.interface import certified_at, fooled_at
from leaderboard.contribution import own_bounds
from leaderboard.rows import Judged

FOOLED = "fooled"
CERTIFIED = "certified"
UNDECIDED = "undecided"
CLEAN = "clean"  # decides of inputs that are misclassified as they are
NOBODY = ""


def input_frame(judged: Judged, radii: float | Sequence[float]) -> pd.DataFrame:
    """A line per judged input. radii: eps of all inputs, or of each.

    Columns: index (the test input's number), eps, y (its label), predicted, correct, low and high
    (the proven interval around its radius), verdict (FOOLED, CERTIFIED or UNDECIDED at eps),
    decided_by (the first evaluator whose own evidence says so, CLEAN, or "" for nobody), low_by and
    high_by (whose bound counts), seconds (of all evaluators), low_key and high_key (of the evidence
    that has the bounds; "" where there is none).
    """
    table = judged.verdict.table
    index = table["index"].to_numpy()
    low = table["low"].to_numpy()
    high = table["high"].to_numpy()
    eps = np.broadcast_to(np.asarray(radii, dtype=float), index.shape)
    correct = judged.correct
    bounds = own_bounds(judged.verdict, judged.evidence)
    keys = {name: _keys(parts, index) for name, parts in judged.parts.items()}
    low_by = _holders({name: own for name, (own, _) in bounds.items()}, low, (low > 0))
    high_by = _holders({n: own for n, (_, own) in bounds.items()}, high, np.isfinite(high))
    high_by[~correct] = CLEAN
    return pd.DataFrame(
        {
            "index": index,
            "eps": eps,
            "y": judged.clean["label"].to_numpy(),
            "predicted": judged.clean["predicted"].to_numpy(),
            "correct": correct,
            "low": low,
            "high": high,
            "verdict": _verdicts(low, high, eps),
            "decided_by": _deciders(bounds, correct, eps),
            "low_by": low_by,
            "high_by": high_by,
            "seconds": _seconds(judged.evidence, index),
            "low_key": _chosen({name: pair[0] for name, pair in keys.items()}, low_by),
            "high_key": _chosen({name: pair[1] for name, pair in keys.items()}, high_by),
        }
    )


def _verdicts(low: np.ndarray, high: np.ndarray, eps: np.ndarray) -> np.ndarray:
    words = np.where(certified_at(low, eps), CERTIFIED, UNDECIDED)
    return np.where(fooled_at(high, eps), FOOLED, words).astype(object)


def _deciders(
    bounds: Mapping[str, tuple[np.ndarray, np.ndarray]], correct: np.ndarray, eps: np.ndarray
) -> np.ndarray:
    """The first evaluator whose own bound decides each input at eps."""
    deciders = np.where(correct, NOBODY, CLEAN).astype(object)
    for name, (low, high) in bounds.items():
        decides = certified_at(low, eps) | fooled_at(high, eps)
        deciders[decides & (deciders == NOBODY)] = name
    return deciders


def _holders(own: Mapping[str, np.ndarray], bound: np.ndarray, present: np.ndarray) -> np.ndarray:
    """The first evaluator whose own bound is the one that counts, where there is one."""
    holders = np.full(len(bound), NOBODY, dtype=object)
    for name, values in own.items():
        holders[present & (values == bound) & (holders == NOBODY)] = name
    return holders


def _seconds(evidence: Mapping[str, pd.DataFrame], index: np.ndarray) -> np.ndarray:
    seconds = np.zeros(len(index))
    for table in evidence.values():
        seconds += table.set_index("index")["seconds"].reindex(index).fillna(0.0).to_numpy()
    return seconds


def _keys(parts: Mapping[str, pd.DataFrame], index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The keys of an evaluator's evidence that has its largest low and its least high."""
    whole = pd.concat([table.assign(key=key) for key, table in parts.items()], ignore_index=True)
    highest = whole.sort_values("low", kind="stable").drop_duplicates("index", keep="last")
    nearest = whole.sort_values("high", kind="stable").drop_duplicates("index", keep="first")
    low_key, high_key = (
        frame.set_index("index")["key"].reindex(index).fillna(NOBODY).to_numpy(dtype=object)
        for frame in (highest, nearest)
    )
    return low_key, high_key


def _chosen(keys: Mapping[str, np.ndarray], holders: np.ndarray) -> np.ndarray:
    """Of each input the key that its holder has."""
    chosen = np.full(len(holders), NOBODY, dtype=object)
    for name, own in keys.items():
        chosen[holders == name] = own[holders == name]
    return chosen
