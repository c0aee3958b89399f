from typing import Any

import pytest

from leaderboard import seed_groups
from leaderboard.row import Row
from tests.leaderboard.test_tables import row


def labels(*rows: Row) -> list[str]:
    return list(seed_groups.labels(rows).values())


def code(**changes: Any) -> dict[str, Any]:
    judging = {"bench": "bbbbbbbb", "plugin": "pppppppp", "versions": {"torch": "2.4.0"}}
    return {"network": {**judging, "plugin": "mmmmmmmm"}, "pgd": judging | changes}


def test_seeds_of_a_line_are_distinct_networks() -> None:
    assert len(seed_groups.groups([row(seed=0), row(seed=1)])[0]) == 2
    with pytest.raises(AssertionError, match="one seed twice in a line"):
        seed_groups.groups([row(), row(network="another")])
    with pytest.raises(AssertionError, match="one network twice in a line"):
        seed_groups.groups([row(seed=0, network="one"), row(seed=1, network="one")])


def test_rows_about_different_cases_are_no_seeds_of_one_line() -> None:
    assert len(seed_groups.groups([row(), row(norm="l2"), row(eps=0.2), row(points=50)])) == 4


@pytest.mark.parametrize("settings", [{}, {"steps": 7}])
def test_other_data_are_said_in_words(settings: dict[str, int]) -> None:
    first = row(data={"train": "aaaaaaaa", "test": "bbbbbbbb"})
    others = {"train": "aaaaaaaa", "test": "cccccccc"}
    other = row(data=others, group="h", settings={**first.settings, **settings})
    steps = ["steps=40, ", "steps=7, "] if settings else ["", ""]
    assert labels(first, other) == [
        f"AT ({steps[0]}test data #bbbbbb)",
        f"AT ({steps[1]}test data #cccccc)",
    ]
    trained = row(data={"train": "dddddddd", "test": "bbbbbbbb"}, group="h")
    assert labels(first, trained) == ["AT (training data #aaaaaa)", "AT (training data #dddddd)"]


def test_other_versions_and_code_are_said_where_nothing_else_tells() -> None:
    first = row(code=code())
    newer = row(code=code(versions={"torch": "2.5.0"}), group="h")
    assert labels(first, newer) == ["AT (torch 2.4.0)", "AT (torch 2.5.0)"]
    edited = row(code=code(plugin="qqqqqqqq"), group="h")
    assert labels(first, edited) == ["AT (code of PGD #pppppp)", "AT (code of PGD #qqqqqq)"]
    told = row(code=code(plugin="qqqqqqqq"), group="h", settings={"steps": 7})
    assert labels(first, told) == ["AT (steps=40)", "AT (steps=7)"]
    bench = labels(first, row(code=code(bench="cccccccc"), group="h"))
    assert all(label.startswith("AT (code of the bench #") for label in bench)
    assert bench[0] != bench[1]


def test_only_lines_that_are_still_alike_are_told_apart_further() -> None:
    rows = [
        row(code=code()),
        row(code=code(plugin="qqqqqqqq"), group="h"),
        row(code=code(plugin="rrrrrrrr"), group="i", settings={"steps": 7}),
    ]
    assert labels(*rows) == [
        "AT (steps=40, code of PGD #pppppp)",
        "AT (steps=40, code of PGD #qqqqqq)",
        "AT (steps=7)",
    ]


def test_how_a_network_was_judged_is_said() -> None:
    assert labels(row(), row(cascade=False, group="h")) == ["AT", "AT (without cascade)"]
    refusing = row(refusals={"kw": "no sigmoids"}, group="h")
    assert labels(row(), refusing) == ["AT (judged by PGD, KW)", "AT (judged by PGD)"]


def test_runs_whose_record_says_nothing_are_still_told_apart() -> None:
    assert labels(row(group="aaaaaaaa"), row(group="bbbbbbbb")) == ["AT (#aaaaaa)", "AT (#bbbbbb)"]
