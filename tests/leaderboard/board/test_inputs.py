from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bench.jobs.verdict import combine, merged
from leaderboard.board.inputs import input_frame
from leaderboard.rows import Judged

inf = np.inf
INDEX = [4, 5, 6, 7]


def shard(index: Sequence[int], low: Sequence[float], high: Sequence[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "index": index,
            "low": low,
            "high": high,
            "seconds": [0.5] * len(index),
            "status": ["done"] * len(index),
            "outcome": ["done"] * len(index),
        }
    )


def judged(parts: Mapping[str, Mapping[str, pd.DataFrame]]) -> Judged:
    clean = pd.DataFrame(
        {
            "index": INDEX,
            "label": [0, 1, 2, 3],
            "predicted": [9, 1, 2, 3],
            "correct": [False, True, True, True],
        }
    )
    evidence = {name: merged(list(tables.values())) for name, tables in parts.items()}
    return Judged(
        test_error=0.25,
        clean=clean,
        evidence=evidence,
        parts=parts,
        verdict=combine(clean, evidence),
        held={},
    )


PGD = shard(INDEX, [0, 0, 0, 0], [inf, 0.08, inf, 0.5])
KW = {
    "kw1": shard(INDEX[:2], [0, 0.01], [inf, inf]),
    "kw2": shard(INDEX[2:], [0.2, 0.02], [inf, inf]),
}
BAB = shard(INDEX, [0, 0.05, 0, 0.04], [inf, 0.07, inf, 0.5])


def test_each_input_says_what_is_proven_and_by_whom() -> None:
    frame = input_frame(judged({"pgd": {"a": PGD}, "kw": KW, "bab": {"b": BAB}}), 0.1)
    assert frame["index"].tolist() == INDEX
    assert frame["y"].tolist() == [0, 1, 2, 3]
    assert frame["verdict"].tolist() == ["fooled", "fooled", "certified", "undecided"]
    assert frame["decided_by"].tolist() == ["clean", "pgd", "kw", ""]
    assert frame["low"].tolist() == [0, 0.05, 0.2, 0.04]
    assert frame["high"].tolist() == [0, 0.07, inf, 0.5]
    assert frame["low_by"].tolist() == ["", "bab", "kw", "bab"]
    assert frame["high_by"].tolist() == ["clean", "bab", "", "pgd"]
    assert frame["low_key"].tolist() == ["", "b", "kw2", "b"]
    assert frame["high_key"].tolist() == ["", "b", "", "a"]
    assert frame["seconds"].tolist() == [1.5] * 4


def test_radii_of_their_own_decide() -> None:
    frame = input_frame(judged({"pgd": {"a": PGD}, "kw": KW}), (0.1, 0.01, 0.3, 0.5))
    assert frame["eps"].tolist() == [0.1, 0.01, 0.3, 0.5]
    assert frame["verdict"].tolist() == ["fooled", "certified", "undecided", "fooled"]


def test_of_evidence_that_was_computed_twice_the_better_key_is_named() -> None:
    again = shard([5], [0.06], [inf])
    frame = input_frame(judged({"kw": {**KW, "kw3": again}}), 0.1)
    assert frame["low"].tolist()[1] == 0.06
    assert frame["low_key"].tolist()[1] == "kw3"


def test_certificates_that_are_withdrawn_hold_no_bound() -> None:
    liar = shard(INDEX, [0, 0.09, 0.3, 0], [inf] * 4)
    frame = input_frame(judged({"pgd": {"a": PGD}, "kw": {"c": liar}}), 0.1)
    assert frame["low"].tolist() == [0] * 4
    assert frame["low_by"].tolist() == [""] * 4
    assert frame["decided_by"].tolist() == ["clean", "pgd", "", ""]
