"""What each evaluator contributed, worked out by hand."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest

from bench.jobs.verdict import Verdict, combine
from evaluators.interface import status_of
from leaderboard.contribution import (
    contributions,
    exact_radii,
    excess_over,
    own_bounds,
    radius_statistics,
)

inf = np.inf
EPS = 0.1
DECIDED = ("fooled", "certified", "alone", "exact")
DONE = "done"
SKIPPED = "skipped: already decided"
Table = pd.DataFrame


def table(low: Sequence[float], high: Sequence[float], outcome: Sequence[str] = ()) -> Table:
    outcomes = list(outcome) or [DONE] * len(low)
    status = list(map(status_of, outcomes))
    columns = {"low": low, "high": high, "status": status, "outcome": outcomes}
    return Table({"index": range(len(low)), **columns})


def below(high: float) -> float:
    """A low that meets this witness: closed balls end just before it."""
    return high * (1 - 1e-9)


def judged(correct: Sequence[bool], evidence: Mapping[str, Table]) -> tuple[Verdict, np.ndarray]:
    clean = Table({"index": range(len(correct)), "correct": correct})
    return combine(clean, evidence), np.array(correct)


# input 0 is misclassified; 1: fooled by both attacks; 2: the certificate alone; 3: cw at the
# exact radius, pgd half as far again; 4: open; 5: an exact radius below eps, by its own solver
CORRECT = [False, True, True, True, True, True]
EVIDENCE = {
    "pgd": table(
        [0] * 6, [inf, 0.08, inf, 0.3, 0.4, 0.075], [SKIPPED, DONE, DONE, DONE, DONE, DONE]
    ),
    "cw": table(
        [0] * 6, [inf, 0.09, 0.6, 0.2, 0.5, inf], [SKIPPED, DONE, DONE, DONE, DONE, SKIPPED]
    ),
    "exact": table(
        [0.0, 0.0, 0.12, below(0.2), 0.05, below(0.06)],
        [inf, inf, inf, inf, inf, 0.06],
        [SKIPPED, SKIPPED, DONE, DONE, "timeout", DONE],
    ),
}


def test_counts_and_means_worked_out_by_hand() -> None:
    verdict, correct = judged(CORRECT, EVIDENCE)
    assert verdict.contradictions == ()
    found = contributions(verdict, EVIDENCE, correct, EPS)
    assert list(found) == ["pgd", "cw", "exact"]
    assert vars(found["pgd"]) == {
        "worked": 5,
        "fooled": 2,
        "certified": 0,
        "alone": 0,
        "exact": 0,
        "radius_low": 0.0,
        "excess": pytest.approx((0.3 / 0.2 - 1 + 0.075 / 0.06 - 1) / 2),
    }
    assert vars(found["cw"]) == {
        "worked": 4,
        "fooled": 1,
        "certified": 0,
        "alone": 0,
        "exact": 1,
        "radius_low": 0.0,
        "excess": pytest.approx(0.0),
    }
    assert vars(found["exact"]) == {
        "worked": 4,
        "fooled": 1,
        "certified": 2,
        "alone": 2,
        "exact": 2,
        "radius_low": pytest.approx(0.43 / 6),
        "excess": pytest.approx(0.0),
    }


def test_a_radius_is_exact_where_a_witness_meets_a_proof() -> None:
    verdict, _ = judged(CORRECT, EVIDENCE)
    assert exact_radii(verdict).tolist() == pytest.approx(
        [*[np.nan] * 3, 0.2, np.nan, 0.06], nan_ok=True
    )
    nobody, _ = judged([True], {"kw": table([inf], [inf])})  # that nothing can change
    assert np.isnan(exact_radii(nobody)).all()


def test_an_exact_radius_is_decided_at_eps_by_one_alone() -> None:
    evidence = {"mip": table([below(EPS)], [EPS])}
    verdict, correct = judged([True], evidence)
    found = contributions(verdict, evidence, correct, EPS)["mip"]
    assert [getattr(found, key) for key in DECIDED] == [1, 0, 1, 1]
    beyond = {"mip": table([EPS], [EPS + 1e-7])}
    found = contributions(*judged([True], beyond)[:1], beyond, correct, EPS)["mip"]
    assert [getattr(found, key) for key in DECIDED] == [0, 1, 1, 1]


def test_who_is_contradicted_loses_its_lows_and_keeps_its_witnesses() -> None:
    evidence = {
        "liar": table([0.3, 0.2], [inf, 0.05]),
        "pgd": table([0.0, 0.0], [0.2, inf]),
        "kw": table([0.15, below(0.05)], [inf, inf]),
    }
    verdict, correct = judged([True, True], evidence)
    assert {c.low_by for c in verdict.contradictions} == {"liar"}
    assert own_bounds(verdict, evidence)["liar"][0].tolist() == [0, 0]
    found = contributions(verdict, evidence, correct, EPS)
    assert vars(found["liar"]) == {
        "worked": 2,
        "fooled": 1,
        "certified": 0,
        "alone": 1,
        "exact": 1,
        "radius_low": 0.0,
        "excess": pytest.approx(0.0),
    }
    assert (found["kw"].certified, found["kw"].alone, found["kw"].exact) == (1, 1, 1)
    assert found["pgd"].excess is None


def test_a_contradicted_lie_about_infinity_leaves_no_nan() -> None:
    evidence = {"liar": table([inf, 0.1], [inf, inf]), "pgd": table([0.0, 0.0], [0.2, inf])}
    verdict, correct = judged([True, True], evidence)
    low, _ = own_bounds(verdict, evidence)["liar"]
    assert low.tolist() == [0, 0]
    assert contributions(verdict, evidence, correct, EPS)["liar"].radius_low == 0


def test_misclassified_inputs_count_for_nobody() -> None:
    evidence = {"pgd": table([0.0, 0.0], [0.05, 0.05]), "kw": table([0.0, 0.0], [inf, inf])}
    verdict, correct = judged([False, False], evidence)
    found = contributions(verdict, evidence, correct, EPS)
    for name in evidence:
        assert [getattr(found[name], key) for key in DECIDED] == [0] * 4
        assert found[name].excess is None


def test_inputs_that_a_shard_is_missing_of_are_open() -> None:
    evidence = {"kw": table([0.2], [inf])}  # of the second input nothing is known yet
    verdict, correct = judged([True, True], evidence)
    (found,) = contributions(verdict, evidence, correct, EPS).values()
    assert (found.worked, found.certified, found.radius_low) == (1, 1, 0.1)


def test_a_radius_that_nothing_bounds_has_no_mean() -> None:
    evidence = {"kw": table([inf, 0.2], [inf, inf])}
    verdict, correct = judged([True, True], evidence)
    found = contributions(verdict, evidence, correct, EPS)["kw"]
    assert found.radius_low is None
    assert found.certified == 2


def test_no_evidence_is_no_contribution() -> None:
    verdict, correct = judged([True, False], {})
    assert contributions(verdict, {}, correct, EPS) == {}


def test_exact_radii_over_lows_are_a_ratio_of_means() -> None:
    exact = np.array([0.2, np.nan, 0.4])
    assert excess_over(np.array([0.1, 5.0, 0.3]), exact) == pytest.approx(0.6 / 0.4 - 1)
    assert excess_over(np.array([0.0, 5.0, 0.0]), exact) is None
    assert excess_over(np.array([0.1, 0.1, 0.1]), np.full(3, np.nan)) is None


def test_statistics_of_radii_leave_out_who_is_misclassified() -> None:
    evidence = EVIDENCE | {"kw": table([0.0, 0.0, 0.1, 0.15, 0.01, 0.05], [inf] * 6)}
    verdict, correct = judged(CORRECT, evidence)
    found = radius_statistics(verdict, evidence, correct, {"kw.bisection_steps": 15})
    assert found["exact_correct_share"] == pytest.approx(2 / 5)
    assert found["exact_over_kw"] == pytest.approx(0.26 / 0.2 - 1)


def test_a_kw_that_did_not_look_for_radii_is_compared_with_nothing() -> None:
    evidence = {"kw": table([0.1], [inf]), "mip": table([below(0.2)], [0.2])}
    verdict, correct = judged([True], evidence)
    for settings in ({"kw.bisection_steps": 0}, {}):
        found = radius_statistics(verdict, evidence, correct, settings)
        assert found == {"exact_correct_share": 1.0, "exact_over_kw": None}
    alone = {"mip": evidence["mip"]}
    found = radius_statistics(*judged([True], alone)[:1], alone, correct, {"kw.bisection_steps": 9})
    assert found["exact_over_kw"] is None


def test_without_correct_inputs_there_is_no_share() -> None:
    verdict, correct = judged([False], {})
    found = radius_statistics(verdict, {}, correct, {})
    assert found == {"exact_correct_share": None, "exact_over_kw": None}
