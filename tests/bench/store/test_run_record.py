"""What a run folder says of its run, typed and as JSON."""

import json
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.store.results import Store
from bench.store.run_files import RunFiles, read_cells, read_run
from bench.store.run_record import VERSION, CellRecord, RunRecord
from relu.errors import InputError

CELL = CellRecord(
    dataset="digits",
    arch="fc_small",
    norm="l2",
    eps=0.3,
    method="mmr",
    label="MMR",
    settings={"gamma": 0.45, "pgd.loss": "margin"},
    group="g",
    seed=None,
    points=10,
    network="n",
    clean="c",
    evaluator_labels={"pgd": "PGD"},
    refusals={},
    published=("table1", "table2"),
    evidence={"pgd": ("p1", "p2")},
    data={"train": None, "test": "t"},
    code={"pgd": {"bench": "b", "versions": {"torch": "2"}}},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Store(tmp_path).prepare()
    return tmp_path


def test_a_record_comes_back_as_it_was_kept(folder: Path) -> None:
    record = RunRecord(cells=(CELL,), failures={"p1": "timeout"}, provenance={"commit": "abc"})
    RunFiles(folder).save_run(record.to_json())
    assert read_run(folder) == record
    assert read_cells(folder) == [CELL]


def test_what_older_records_do_not_say_has_its_usual_value(folder: Path) -> None:
    said = CELL.to_json()
    for name in ("box", "published", "cascade", "data", "code"):
        del said[name]
    (folder / "run.json").write_text(json.dumps({"cells": [said], "failures": {}}))
    (cell,) = read_cells(folder)
    assert (cell.box, cell.published, cell.cascade) == ("0.0,1.0", (), True)
    assert (cell.data, cell.code) == ({}, {})


@pytest.mark.parametrize("name", ["dataset", "evidence", "points"])
def test_a_cell_without_a_field_is_named_in_one_line(folder: Path, name: str) -> None:
    said = CELL.to_json()
    del said[name]
    (folder / "run.json").write_text(json.dumps({"cells": [said], "failures": {}}))
    with pytest.raises(InputError, match=rf"run\.json'.* a cell .*{name!r} is missing"):
        read_run(folder)


@pytest.mark.parametrize("name", ["run.json", "tune.json"])
def test_a_folder_says_its_version_and_one_that_says_none_is_the_first(
    folder: Path, name: str
) -> None:
    record = RunRecord(cells=(CELL,), failures={})
    RunFiles(folder).save_run(record.to_json(), name)
    said = json.loads((folder / name).read_text())
    assert next(iter(said)) == "version"
    assert said.pop("version") == VERSION
    (folder / name).write_text(json.dumps(said))
    assert read_run(folder, name) == record
    (folder / name).write_text(json.dumps(said | {"version": 1}))
    assert read_run(folder, name) == record


@pytest.mark.parametrize("version", [VERSION + 1, 0, "2", None, 1.5])
def test_another_version_is_one_line_with_what_was_expected_and_what_came(
    folder: Path, version: object, capsys: pytest.CaptureFixture[str]
) -> None:
    said = RunRecord(cells=(CELL,), failures={}).to_json() | {"version": version, "cells": "new"}
    (folder / "run.json").write_text(json.dumps(said))
    for command in ("leaderboard", "status", "ratios"):
        assert main([command, str(folder)]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert f"version 1 to {VERSION}, got version {version!r}" in err
        assert str(folder / "run.json") in err


@pytest.mark.parametrize("text", ["{", "[]", '{"cells": 1}', '{"cells": ["x"], "failures": {}}'])
def test_a_torn_record_is_no_run(folder: Path, text: str) -> None:
    (folder / "run.json").write_text(text)
    with pytest.raises(InputError, match="is no run folder"):
        read_run(folder)
