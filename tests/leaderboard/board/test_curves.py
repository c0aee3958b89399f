import numpy as np
import pytest

from bench.jobs.verdict import Verdict
from leaderboard.board.curves import curve_frame
from leaderboard.rows import summary
from tests.leaderboard.test_rows import verdict

inf = np.inf


def random_verdict(seed: int) -> Verdict:
    rng = np.random.default_rng(seed)
    low = rng.choice([0.0, 0.1, 0.2, 0.3, inf], 40)
    high = low + rng.choice([0.01, 0.1, inf], 40)
    wrong = rng.random(40) < 0.2
    return verdict(list(np.where(wrong, 0.0, low)), list(np.where(wrong, 0.0, high)))


@pytest.mark.parametrize("seed", range(10))
def test_a_curve_is_the_table_at_every_radius(seed: int) -> None:
    one = random_verdict(seed)
    other = random_verdict(seed + 100)
    pairs = [(t["low"].to_numpy(), t["high"].to_numpy()) for t in (one.table, other.table)]
    frame = curve_frame(pairs)
    middles = (frame["eps"][:-1] + np.diff(frame["eps"]) / 2).tolist()
    frame = curve_frame(pairs, at=[*frame["eps"], *middles, 5.0])
    for eps, *shares in frame.to_numpy().tolist():
        rows = [summary(v, eps) for v in (one, other)]
        for name, share in zip(("robust_error_low", "robust_error_high"), shares, strict=True):
            expected = np.mean([row[name] for row in rows])
            assert share == pytest.approx(expected), (name, eps)


@pytest.mark.parametrize("seed", range(5))
def test_between_two_radii_of_a_curve_nothing_changes(seed: int) -> None:
    table = random_verdict(seed).table
    pair = (table["low"].to_numpy(), table["high"].to_numpy())
    frame = curve_frame([pair])
    eps = frame["eps"].to_numpy()
    inside = eps[:-1] + np.diff(eps) * 0.3
    apart = (inside > eps[:-1]) & (inside < eps[1:])  # the last two are neighbours in float64
    between = curve_frame([pair], at=inside.tolist())[apart]
    low = frame["robust_error_low"].to_numpy()[:-1]
    high = frame["robust_error_high"].to_numpy()[1:]
    assert between["robust_error_low"].tolist() == low[apart].tolist()
    assert between["robust_error_high"].tolist() == high[apart].tolist()


def test_at_no_radius_at_all_the_misclassified_are_lost() -> None:
    pair = (np.array([0.0, 0.0, 0.2]), np.array([0.0, 0.5, 0.3]))
    line = curve_frame([pair], at=[0.0]).iloc[0]
    assert line["robust_error_low"] == line["robust_error_high"] == pytest.approx(1 / 3)
