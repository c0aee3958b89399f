"""Rows of finished cells are told while the run goes on."""

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.jobs.cell import Cell
from bench.jobs.job import Job
from bench.scheduling.early_rows import EarlyRows
from bench.store.outcome import Outcome
from bench.store.run_record import CellRecord

DONE = Outcome(status="done")
STORED = Outcome(status="stored")


def job(key: str) -> Job:
    return Job(kind="judge", key=key, settings={"data": "", "code": {}})


def cell(name: str) -> Cell:
    """Two jobs of its own and one that others share."""
    return Cell(
        dataset="digits",
        arch="fc_small",
        norm="linf",
        eps=0.1,
        box="0,1",
        method="plain",
        label=name,
        settings={},
        group="",
        seed=0,
        points=1,
        network=job("shared"),
        clean=job(f"{name}1"),
        judges={"pgd": (job(f"{name}2"),)},
        evaluator_labels={},
        refusals={},
    )


def told(*ended: tuple[str, Outcome], cells: str = "ab") -> list[str]:
    lines: list[str] = []

    def describe(record: CellRecord, failures: Mapping[str, str]) -> str:
        return f"{record.label} {dict(failures)}"

    with EarlyRows(list(map(cell, cells)), describe, lines.append) as rows:
        for key, outcome in ended:
            rows.ended(job(key), outcome)
        while any(not row.done() for row in rows.waiting):
            threading.Event().wait(0.01)
    return lines


def test_a_row_is_told_when_the_last_of_its_jobs_has_ended() -> None:
    assert told(("shared", DONE), ("a1", DONE)) == []
    assert told(("a1", DONE), ("a2", DONE), ("b1", DONE), ("shared", DONE)) == ["a {}"]
    failed = Outcome(status="failed", message="lost")
    assert told(("a1", failed), ("shared", DONE), ("a2", DONE)) == ["a {'a1': 'lost'}"]


def test_a_row_that_was_stored_before_is_left_to_the_table() -> None:
    ended = [(key, STORED) for key in ("shared", "a1", "a2", "b1")]
    assert told(*ended, ("b2", DONE)) == ["b {}"]


def test_a_row_that_cannot_be_told_ends_nothing() -> None:
    lines: list[str] = []

    def describe(record: CellRecord, failures: Mapping[str, str]) -> str:
        raise KeyError("gone")

    with EarlyRows([cell("a")], describe, lines.append) as rows:
        for key in ("shared", "a1", "a2"):
            rows.ended(job(key), DONE)
        while any(not row.done() for row in rows.waiting):
            threading.Event().wait(0.01)
    assert lines == ["no row yet: KeyError: 'gone'"]


def test_the_first_network_is_judged_and_told_before_the_second_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    what = ["--methods", "plain,at", "--set", "at.steps=1", "--epochs", "2", "--points", "40"]
    how = ["--eval", "pgd", "--engine", "inline", "--out", str(tmp_path)]
    assert main(["run", *what, *how]) == 0
    lines = capsys.readouterr().err.splitlines()
    (row,) = [i for i, line in enumerate(lines) if line.startswith("row: plain on digits")]
    (second,) = [i for i, line in enumerate(lines) if "] train at on digits" in line]
    assert row < second
    assert "(fc_small, linf 0.1, seed 0): test error " in lines[row]
    assert "robust error " in lines[row]
