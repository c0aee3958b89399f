import json
from io import StringIO
from typing import Any

import pandas as pd
import pytest

from bench.store.records import plain
from leaderboard.row import Row
from leaderboard.tables import (
    seconds_to_csv,
    seconds_to_markdown,
    to_csv,
    to_json,
    to_markdown,
)


def row(**changes: Any) -> Row:
    usual = {
        "network": f"network of seed {changes.get('seed', 0)}",
        "weights": "w",
        "left_out": [],
        "data": {},
        "code": {},
        "cascade": True,
        "published": [],
        "dataset": "digits",
        "arch": "fc_small",
        "norm": "linf",
        "eps": 4 / 255,
        "box": "0.0,1.0",
        "method": "at",
        "label": "AT",
        "settings": {"steps": 40},
        "seed": 0,
        "points": 100,
        "evaluator_labels": {"pgd": "PGD", "kw": "KW"},
        "group": "g",
        "refusals": {},
        "outcomes": {"pgd": {"done": 60, "skipped: already decided": 40}},
        "failures": {},
        "statuses": {"pgd": {"done": 60, "skipped": 40}},
        "unfinished": {"pgd": {}},
        "contradictions": [],
        "contributions": {},
        "exact_correct_share": 0.02,
        "exact_over_kw": None,
        "test_error": 0.018,
        "robust_error_low": 0.0412,
        "robust_error_high": 0.5,
        "undecided": 0.4588,
        "radius_low": 0.01,
        "radius_high": 0.2,
        "exact_share": 0.018,
        "train_seconds": 3.0,
        "seconds": {"pgd": 1.25, "kw": 2.0},
    }
    return Row.from_json(plain(usual | changes))


def cells(markdown: str) -> list[list[str]]:
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_one_row_in_percent() -> None:
    header, _, line = cells(to_markdown([row()]))
    shown = dict(zip(header, line, strict=True))
    assert shown["threat"] == "linf 4/255"
    assert shown["test error (%)"] == "1.80"
    assert shown["robust error ≥ (%)"] == "4.12"
    assert shown["radius ≤"] == "0.2000"
    assert (shown["PGD"], shown["KW"]) == ("60", "–")


def test_seconds_have_a_table_of_their_own() -> None:
    header, _, line = cells(seconds_to_markdown([row(), row(seed=1, train_seconds=5.0)]))
    shown = dict(zip(header, line, strict=True))
    assert shown["method"] == "AT (2 seeds)"
    assert shown["train (s)"] == "4.0 ± 1.4"
    assert shown["PGD (s)"] == "1.2 ± 0.0 (0.0208)"  # and of each of the 60 inputs
    table = pd.read_csv(StringIO(seconds_to_csv([row()])))
    assert table[["train", "pgd", "kw"]].values.tolist() == [[3.0, 1.25, 2.0]]


def test_the_leaderboard_holds_nothing_that_a_clock_measured() -> None:
    slow = row(train_seconds=99.0, seconds={"pgd": 77.0, "kw": 88.0})
    for table in (to_markdown, to_csv, to_json):
        assert table([slow]) == table([row()])


def test_seeds_become_mean_and_spread() -> None:
    rows = [row(seed=0), row(seed=1, test_error=0.022), row(seed=2, test_error=0.02)]
    _, _, line = cells(to_markdown(rows))
    assert "AT (3 seeds)" in line
    assert "2.00 ± 0.20" in line


def test_a_seed_without_a_number_makes_the_mean_a_dash() -> None:
    failed = row(seed=1, test_error=None, failures={"network": "training diverged in epoch 3"})
    markdown = to_markdown([row(), failed])
    _, _, line = cells(markdown)
    assert line[5] == "–"
    assert "[1] AT, seed 1: training diverged in epoch 3" in markdown


def test_settings_are_told_only_where_rows_differ() -> None:
    lines = cells(
        to_markdown([row(), row(settings={"steps": 7}, group="h"), row(label="plain", group="i")])
    )
    assert [line[3] for line in lines[2:]] == ["AT (steps=40)", "AT (steps=7)", "plain"]


def test_refusals_are_dashes_with_one_footnote_for_all() -> None:
    refused = {"refusals": {"kw": "no sigmoids"}, "seconds": {"pgd": 1.0}}
    markdown = to_markdown([row(**refused), row(label="plain", group="h", **refused)])
    assert markdown.count("– [1]") == 2
    assert markdown.count("[1] KW: no sigmoids") == 1


def test_csv_and_json_hold_every_number() -> None:
    table = pd.read_csv(StringIO(to_csv([row(), row(seed=1)])))
    assert table["robust_error_low"].tolist() == [0.0412, 0.0412]
    assert table["eps"][0] == pytest.approx(4 / 255)
    assert json.loads(to_json([row()]))[0]["eps"] == 4 / 255


def test_rows_that_differ_in_more_than_the_seed_are_never_folded() -> None:
    evaluated = [row(settings={"pgd.steps": n}, group=str(n)) for n in (1, 40)]
    assert [line[3] for line in cells(to_markdown(evaluated))[2:]] == [
        "AT (pgd.steps=1)",
        "AT (pgd.steps=40)",
    ]
    guests = [row(seed=None, group=g, label="model") for g in ("aaaaaaaa", "bbbbbbbb")]
    assert [line[3] for line in cells(to_markdown(guests))[2:]] == [
        "model (#aaaaaa)",
        "model (#bbbbbb)",
    ]


def test_a_network_with_other_weights_elsewhere_is_said() -> None:
    markdown = to_markdown([row(left_out=["run-b", "run-c"])])
    assert "AT [1]" in markdown
    assert "[1] AT, seed 0: trained to other weights in run-b, run-c, left out here" in markdown


def test_outcomes_that_are_neither_done_nor_skipped_are_told() -> None:
    statuses = {"pgd": {"done": 90, "skipped": 8, "timeout": 2}}
    markdown = to_markdown([row(statuses=statuses, unfinished={"pgd": {"timeout": 2}})])
    assert "[1] PGD: timeout (2 inputs)" in markdown
    assert "done (" not in markdown
