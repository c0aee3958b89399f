import numpy as np
import pandas as pd
import pytest

from bench.jobs.verdict import Verdict
from leaderboard.rows import summary

inf = np.inf


def verdict(low: list[float], high: list[float]) -> Verdict:
    table = pd.DataFrame({"index": range(len(low)), "low": low, "high": high})
    return Verdict(table=table, contradictions=())


def test_shares_and_means_worked_out_by_hand() -> None:
    # misclassified; fooled at eps; certified; open; certified exactly at eps and open above
    row = summary(verdict([0.0, 0.0, 0.3, 0.05, 0.1], [0.0, 0.1, 0.5, 0.25, 0.4]), eps=0.1)
    assert row["robust_error_low"] == 2 / 5
    assert row["robust_error_high"] == 3 / 5
    assert row["undecided"] == 1 / 5
    assert row["radius_low"] == pytest.approx(0.09)
    assert row["radius_high"] == pytest.approx(0.25)
    assert row["exact_share"] == 1 / 5


def test_an_exact_radius_at_eps_counts_as_fooled_in_both_bounds() -> None:
    row = summary(verdict([0.1], [0.1]), eps=0.1)
    assert row["robust_error_low"] == row["robust_error_high"] == 1.0
    assert row["exact_share"] == 1.0


def test_a_radius_without_a_witness_is_unknown_not_infinite() -> None:
    row = summary(verdict([0.1, 0.2], [inf, 0.3]), eps=0.1)
    assert row["radius_high"] is None
    assert row["robust_error_high"] == 0.0


def test_an_input_that_nothing_can_change_is_exact() -> None:
    assert summary(verdict([inf], [inf]), eps=0.1)["exact_share"] == 1.0


@pytest.mark.parametrize("seed", range(20))
def test_bounds_never_cross_and_the_gap_is_what_is_undecided(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.choice([0.0, 0.1, 0.2, 0.3], 50)
    high = low + rng.choice([0.0, 0.1, inf], 50)
    for eps in (0.05, 0.1, 0.2, 0.25):
        row = summary(verdict(list(low), list(high)), eps=eps)
        lower = row["robust_error_low"]
        upper = row["robust_error_high"]
        gap = row["undecided"]
        assert lower is not None
        assert upper is not None
        assert lower <= upper
        assert gap == pytest.approx(upper - lower)
