import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from bench.plan.cells import make_plan
from bench.plan.request import Request
from bench.store.results import Store
from bench.store.run_files import RunFiles
from bench.store.run_record import CellRecord, RunRecord
from leaderboard import seed_groups
from leaderboard.merge import answered, once
from leaderboard.rows import read_rows
from leaderboard.tables import to_markdown
from tests.leaderboard.test_tables import row


def cell_json(**changes: Any) -> dict[str, Any]:
    return {
        "dataset": "digits",
        "arch": "fc_small",
        "norm": "linf",
        "eps": 0.1,
        "box": "0.0,1.0",
        "method": "at",
        "label": "AT",
        "settings": {"steps": 40},
        "seed": 0,
        "points": 3,
        "group": "g",
        "network": "n",
        "clean": "c",
        "evidence": {"pgd": ["p"]},
        "refusals": {},
        "evaluator_labels": {"pgd": "PGD", "kw": "KW"},
        "published": [],
    } | changes


def cell(**changes: Any) -> CellRecord:
    return CellRecord.from_json(cell_json(**changes))


def save(folder: Path, *cells: CellRecord, weight: float | None = 1.0, judged: bool = True) -> Path:
    """A run folder with these cells, and their networks and results."""
    store = Store(folder)
    store.prepare()
    for some in cells:
        if weight is not None:
            net = nn.Linear(1, 1)
            nn.init.constant_(net.weight, weight)
            nn.init.constant_(net.bias, 0.0)
            about = {"kind": "train", "seconds": 1.0, "inputs": {}}
            store.save_network(some.network, net, [], about)
        if judged:
            inputs = {"inputs": {"weights": store.weights_digest(some.network)}}
            clean = pd.DataFrame({"index": range(3), "correct": [True] * 3})
            store.save_clean(some.clean, clean, inputs)
            table = pd.DataFrame(
                {
                    "index": range(3),
                    "low": [0.0] * 3,
                    "high": [weight] * 3,
                    "seconds": [0.1] * 3,
                    "outcome": ["done"] * 3,
                }
            )
            for key in (key for keys in some.evidence.values() for key in keys):
                store.save_evidence(key, table, torch.full((3, 1), torch.nan), inputs)
    RunFiles(folder).save_run(RunRecord(cells=cells, failures={}).to_json())
    return folder


def test_a_network_is_one_row_whatever_the_texts_of_refusals(tmp_path: Path) -> None:
    here = save(tmp_path / "a", cell(refusals={"kw": "not installed"}))
    there = save(tmp_path / "b", cell(refusals={"kw": "no sigmoids"}))
    rows = read_rows([here, there])
    table = to_markdown(rows)
    assert len(rows) == 1
    assert "seeds" not in table
    assert "[1] KW: not installed; in another run: no sigmoids" in table
    assert to_markdown(read_rows([here, here])) == to_markdown(read_rows([here]))


def test_seeds_of_two_runs_are_one_line(tmp_path: Path) -> None:
    other = cell(seed=1, network="n1", clean="c1", evidence={"pgd": ["p1"]})
    rows = read_rows([save(tmp_path / "a", cell()), save(tmp_path / "b", cell(), other)])
    assert "AT (2 seeds)" in to_markdown(rows)


def test_evidence_wins_over_a_refusal_in_another_run(tmp_path: Path) -> None:
    refusing = cell(refusals={"kw": "not installed"}, published=["table3"])
    judging = cell(
        group="h",
        settings={"steps": 40, "kw.bisection_steps": 0},
        evidence={"pgd": ["p"], "kw": ["k"]},
    )
    folders = [save(tmp_path / "a", refusing), save(tmp_path / "b", judging)]
    for order in (folders, folders[::-1]):
        (one,) = read_rows(order)
        assert not one.refusals
        assert set(one.outcomes) == {"pgd", "kw"}
        assert one.published == ("table3",)


@pytest.mark.parametrize(
    "changes",
    [
        {"network": "another"},
        {"weights": "another"},
        {"cascade": False},
        {"eps": 0.2},
        {"settings": {"steps": 7}},
        {"evaluator_labels": {"pgd": "PGD", "kw": "KW", "cw": "CW"}},
        {"failures": {"kw": "not finished"}},
    ],
)
def test_a_refusal_stays_where_the_other_row_is_another_or_unfinished(
    changes: dict[str, Any],
) -> None:
    refusing = row(refusals={"kw": "not installed"})
    (one,) = answered([refusing, row(group="h")])
    assert not one.refusals
    assert len(answered([refusing, row(group="h", **changes)])) == 2


def test_other_weights_of_the_same_training_are_another_network(tmp_path: Path) -> None:
    first = save(tmp_path / "a", cell(), weight=1.0)
    second = save(tmp_path / "b", cell(), weight=2.0)
    rows = read_rows([first, second])
    (one,) = rows
    assert one.radius_high == 1.0  # the first folder's, and nothing of the second's
    assert one.left_out == (str(second),)
    assert "seeds" not in to_markdown(rows)
    assert f"AT, seed 0: trained to other weights in {second}, left out here" in to_markdown(rows)


def test_of_two_weights_the_judged_ones_are_shown(tmp_path: Path) -> None:
    first = save(tmp_path / "a", cell(), weight=1.0, judged=False)
    second = save(tmp_path / "b", cell(), weight=2.0)
    (one,) = read_rows([first, second])
    assert one.radius_high == 2.0
    assert not one.failures
    assert one.left_out == (str(first),)


def test_cases_that_nobody_judges_stay_apart() -> None:
    nobody = {"evidence": {}, "refusals": {"pgd": "no"}}
    assert len(once([cell(**nobody), cell(norm="l2", **nobody)])) == 2


def test_a_plan_keeps_cases_that_nobody_judges_apart(
    catalogue: Any, digits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        catalogue.evaluators["pgd"].cls, "refusal", lambda *_: "refused", raising=True
    )
    asked = Request(
        datasets=("digits",),
        methods=("plain",),
        evaluators=("pgd",),
        norms=("linf", "l2"),
        eps=(0.1, 0.2),
        points=10,
    )
    cells = make_plan(asked, catalogue, {"digits": digits})
    assert len({(one.group, one.norm, one.eps) for one in cells}) == 4
    assert len({one.group for one in cells}) == 4
    assert len({one.network.key for one in cells}) == 1


def test_a_record_says_which_data_and_code_it_rests_on(catalogue: Any, digits: Any) -> None:
    asked = Request(datasets=("digits",), methods=("at",), evaluators=("pgd",), points=10)
    (one,) = make_plan(asked, catalogue, {"digits": digits})
    record = json.loads(json.dumps(one.record().to_json()))
    assert record["data"] == {part: digits.fingerprint(part) for part in ("train", "test")}
    assert set(record["code"]) == {"network", "clean", "pgd"}
    assert record["code"]["pgd"]["plugin"] == catalogue.evaluators["pgd"].code.digest
    assert set(record["code"]["network"]["versions"]) == {"torch", "numpy"}


def test_old_records_are_read_and_folded(tmp_path: Path) -> None:
    later = ("box", "published", "cascade", "data", "code")
    old = {name: value for name, value in cell_json().items() if name not in later}
    save(tmp_path / "a", CellRecord.from_json(old))
    (tmp_path / "a" / "run.json").write_text(json.dumps({"cells": [old], "failures": {}}))
    rows = read_rows([tmp_path / "a", save(tmp_path / "b", cell())])
    assert len(rows) == 1
    assert list(seed_groups.labels(rows).values()) == ["AT"]
