"""The table of what each evaluator decided."""

import dataclasses
from io import StringIO
from typing import Any

import pandas as pd
import pytest

from bench.store.records import plain
from leaderboard.attribution import LEGEND, attribution_to_csv, attribution_to_markdown
from leaderboard.row import Contribution, Row
from tests.leaderboard.test_tables import cells
from tests.leaderboard.test_tables import row as any_row


def part(**changes: Any) -> Contribution:
    usual = Contribution(
        worked=98, fooled=40, certified=0, alone=3, exact=2, radius_low=0.0, excess=0.1234
    )
    return dataclasses.replace(usual, **changes)


def row(**changes: Any) -> Row:
    kw = part(worked=58, fooled=0, certified=50, radius_low=0.0712, excess=None)
    return any_row(**{"contributions": {"pgd": part(), "kw": kw}} | changes)


def shown(*rows: Row) -> list[dict[str, str]]:
    header, _, *lines = cells(attribution_to_markdown(rows))
    return [dict(zip(header, line, strict=True)) for line in lines]


def test_there_is_a_line_for_each_evaluator() -> None:
    pgd, kw = shown(row())
    assert pgd == {
        "data set": "digits",
        "arch": "fc_small",
        "threat": "linf 4/255",
        "method": "AT",
        "points": "100",
        "evaluator": "PGD",
        "inputs": "98",
        "fooled": "40",
        "certified": "0",
        "it alone": "3",
        "exact": "2",
        "own radius ≥": "0.0000",
        "excess (%)": "12.34",
        "s": "1.2",
        "s per decided": "0.0312",
    }
    assert (kw["evaluator"], kw["certified"], kw["own radius ≥"]) == ("KW", "50", "0.0712")
    assert (kw["excess (%)"], kw["s per decided"]) == ("–", "0.0400")
    assert LEGEND in attribution_to_markdown([row()])


def test_seeds_become_means_and_cost_is_shared_out_over_all_they_decided() -> None:
    other = row(seed=1, contributions={"pgd": part(fooled=50, excess=None)}, seconds={"pgd": 3.25})
    (pgd,) = shown(row(), other)  # KW is not done for seed 1
    assert pgd["method"] == "AT (2 seeds)"
    assert pgd["fooled"] == "45 ± 7"
    assert pgd["excess (%)"] == "–"
    assert (pgd["s"], pgd["s per decided"]) == ("2.2", "0.0500")


def test_who_decided_nothing_has_no_cost_per_decision() -> None:
    (idle,) = shown(row(contributions={"pgd": part(fooled=0, radius_low=None)}))
    assert idle["s per decided"] == "–"
    assert idle["own radius ≥"] == "–"


def test_where_nothing_was_judged_there_is_no_table() -> None:
    failed = any_row(contributions={}, seconds={}, outcomes={}, statuses={}, unfinished={})
    for rows in ([], [failed]):
        assert attribution_to_markdown(rows) == ""
        assert attribution_to_csv(rows) == ""
    assert len(shown(failed, row(group="h", method="plain"))) == 2


def test_the_csv_has_a_line_for_each_row_and_evaluator_in_full() -> None:
    text = attribution_to_csv([row(), row(seed=1, contributions={"pgd": part()})])
    table = pd.read_csv(StringIO(text))
    assert table["evaluator"].tolist() == ["pgd", "kw", "pgd"]
    assert table["seed"].tolist() == [0, 0, 1]
    assert table["excess"].tolist() == pytest.approx([0.1234, float("nan"), 0.1234], nan_ok=True)
    assert table["seconds"].tolist() == [1.25, 2.0, 1.25]
    assert table["eps"].tolist() == [4 / 255] * 3
    assert list(table.columns[-8:]) == [*plain(part()), "seconds"]
