"""Unions of threats, intervals of shares, paired comparisons: folds over verdicts per input."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import main
from leaderboard.pairs import compared, pairs_of, pairs_to_markdown
from leaderboard.row import Row
from leaderboard.sampling import clopper_pearson, sampling_to_markdown
from leaderboard.unions import published_union, union, unions_to_markdown
from relu.threat import Norm

ROW = Row(
    box="0.0,1.0",
    dataset="digits",
    arch="fc_small",
    norm="linf",
    eps=0.1,
    method="at",
    label="AT",
    settings={},
    trained={"norm": "linf", "eps": 0.1, "box": [0.0, 1.0]},
    union={"linf": 0.1, "l2": 0.3},
    group="g-linf",
    seed=0,
    points=6,
    network="n0",
    evaluator_labels={},
    test_error=0.1,
    verdicts="x..?x.",
)
OTHER = replace(ROW, norm="l2", eps=0.3, group="g-l2", verdicts="xx....")


def test_a_union_is_fooled_by_any_and_certified_by_all() -> None:
    assert union([ROW, OTHER]) == (3 / 6, 4 / 6)
    assert union([ROW]) == (2 / 6, 3 / 6)


def test_the_table_has_a_line_for_each_network_that_was_judged_under_all() -> None:
    text = unions_to_markdown([ROW, OTHER])
    assert "Under the union of l2 0.3, linf 0.1" in text
    assert "| digits     | fc_small | AT       | linf 0.1      |        6 |" in text
    assert "50.00 |                66.67 |           16.67" in text
    assert unions_to_markdown([ROW]) == ""
    assert unions_to_markdown([ROW, replace(OTHER, network="n1")]) == ""
    assert unions_to_markdown([replace(r, union={}) for r in (ROW, OTHER)]) == ""


def test_published_unions_stand_beside_ours() -> None:
    radii: dict[Norm, float] = {"l1": 1.0, "linf": 0.1, "l2": 0.3}
    row = replace(
        ROW, dataset="mnist", arch="cnn", method="mmr_universal", trained=None, union=radii
    )
    assert published_union(row) == "3.04; 12.4 to 20.8"
    trained = {"norm": "l2", "eps": 0.3, "box": [0.0, 1.0]}
    assert published_union(replace(row, method="kw", trained=trained)) == "1.11; 10.3 to 100"
    assert published_union(replace(row, arch="fc1")) == ""
    assert published_union(replace(row, union={**radii, "linf": 0.2})) == ""
    gts: dict[Norm, float] = {"l1": 3.0, "linf": 4 / 255, "l2": 0.2}
    assert published_union(replace(row, dataset="gts", union=gts)) == "15.98; 51.6 to 52.4"
    three = [replace(row, norm=norm, eps=eps) for norm, eps in radii.items()]
    assert "3.04; 12.4 to 20.8" in unions_to_markdown(three)
    assert unions_to_markdown([*three[:2], replace(three[2], box="-1.0,2.0")]) == ""


def test_seeds_of_a_union_are_one_line() -> None:
    more = [replace(row, seed=1, network="n1", verdicts="......") for row in (ROW, OTHER)]
    text = unions_to_markdown([ROW, OTHER, *more])
    assert "AT (2 seeds)" in text
    assert "25.00 ± 35.36" in text


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [  # R: binom.test(count, total)$conf.int
        (0, 10, 0.0, 0.3084971),
        (3, 10, 0.06673951, 0.6524529),
        (10, 10, 0.6915029, 1.0),
        (44, 1000, 0.03214896, 0.05863135),
    ],
)
def test_intervals_are_those_of_clopper_and_pearson(
    count: int, total: int, low: float, high: float
) -> None:
    assert clopper_pearson(count, total) == pytest.approx((low, high), abs=2e-4)


def test_intervals_hold_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    for share in (0.02, 0.3):
        counts = random.binomial(200, share, 2000)
        ends = [clopper_pearson(int(count), 200) for count in counts]
        held = [low <= share <= high for low, high in ends]
        assert np.mean(held) >= 0.945


def test_the_table_of_intervals_has_both_ends() -> None:
    text = sampling_to_markdown([ROW])
    assert "33.33 [4.33, 77.72]" in text
    assert "50.00 [11.81, 88.19]" in text
    assert sampling_to_markdown([replace(ROW, verdicts="")]) == ""


def rows(method: str, *verdicts: str) -> list[Row]:
    return [
        replace(
            ROW,
            method=method,
            label=method,
            group=method,
            seed=i,
            network=f"{method}{i}",
            verdicts=letters,
            points=len(letters),
            settings={},
        )
        for i, letters in enumerate(verdicts)
    ]


def test_a_clear_winner_is_one_and_equals_are_a_tie() -> None:
    good = rows("good", "x" * 20 + "." * 180)
    bad = rows("bad", "x" * 60 + "." * 140)
    pair = compared(good, bad)
    assert pair.best[0] == pair.worst[0] == pytest.approx(-0.2)
    assert pair.winner == 0 and pair.confidence > 0.999
    assert compared(bad, good).winner == 1
    assert compared(good, rows("same", "x" * 20 + "." * 180)).winner == -1
    # As the inputs are the same, a small difference counts that would not on other inputs.
    close = compared(good, rows("close", "x" * 32 + "." * 168))
    assert close.winner == 0


def test_undecided_inputs_count_against_whoever_would_win() -> None:
    good = rows("good", "?" * 60 + "." * 140)
    bad = rows("bad", "x" * 60 + "." * 140)
    pair = compared(good, bad)
    assert pair.best[0] == pytest.approx(-0.3) and pair.worst[0] == pytest.approx(0.0)
    assert pair.winner == -1


def test_seeds_that_differ_more_than_the_methods_make_a_tie() -> None:
    steady = rows("steady", *["x" * 40 + "." * 160] * 3)
    unsteady = rows("unsteady", "." * 200, "x" * 60 + "." * 140, "x" * 90 + "." * 110)
    assert compared(steady, unsteady).winner == -1
    single = compared(steady[:1], unsteady[2:])
    assert single.winner == 0


def test_intervals_are_those_of_exact_resampling() -> None:
    """With one seed each, the difference of a pair is a mean of independent -1, 0, 1."""
    first = rows("first", "x" * 10 + "." * 90)
    second = rows("second", "." * 10 + "x" * 25 + "." * 65)
    pair = compared(first, second)
    deviation = np.sqrt((0.35 - 0.15**2) / 100)
    low, high = pair.best[1:]
    assert low == pytest.approx(-0.15 - 1.96 * deviation, abs=0.012)
    assert high == pytest.approx(-0.15 + 1.96 * deviation, abs=0.012)


def test_pairs_are_of_one_threat_and_the_same_points() -> None:
    two = [*rows("a", "x..."), *rows("b", "....")]
    assert len(list(pairs_of(two))) == 1
    assert list(pairs_of([two[0], replace(two[1], norm="l2")])) == []
    assert list(pairs_of([two[0], replace(two[1], points=3)])) == []
    assert "| a | b |".replace(" ", "") in pairs_to_markdown(list(pairs_of(two))).replace(" ", "")
    assert pairs_to_markdown([]) == ""


def test_comparing_what_cannot_be_compared_gets_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(tmp_path)]) == 2
    assert "is no run folder" in capsys.readouterr().err
