import io
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from bench.__main__ import main
from bench.jobs.job import Job
from bench.scheduling.display import Display
from bench.scheduling.engines.inline import Inline
from bench.scheduling.engines.interface import Running
from bench.scheduling.progress import Progress, clock, lines
from bench.store.outcome import Outcome
from bench.store.results import Store
from bench.store.run_files import RunFiles
from bench.store.run_record import RunRecord

ABOUT = {
    "arch": "cnn",
    "dataset": "mnist",
    "network": "abcdef0123",
    "start": 0,
    "stop": 500,
    "threat": {"norm": "linf", "eps": 0.1, "box": [0.0, 1.0]},
}
JOBS = [
    Job(kind="judge", key=str(i), settings={"evaluator": "pgd" if i < 6 else "mip", **ABOUT})
    for i in range(10)
]


class Busy(Inline):
    """An engine of two workers that is at the jobs 4 and 6."""

    capacity = 2

    def running(self) -> Sequence[Running]:
        since = time.monotonic() - 5.0
        return [Running(worker=f"gpu {i}", job=JOBS[4 + 2 * i], since=since) for i in range(2)]


def engine() -> Busy:
    return Busy(lambda job, threads: Outcome(status="done"), threads=1)


def progress() -> Progress:
    """Three jobs are done, one failed, one is stored already; each takes ten seconds."""
    made = Progress(JOBS, lambda job: 10.0, {"9"})
    for i in range(3):
        made.end(JOBS[i], Outcome(status="done"))
    made.end(JOBS[3], Outcome(status="failed", message="KeyError: 'x'"))
    return made


def test_jobs_are_counted_by_kind_and_state() -> None:
    record = progress().record(
        engine(), lambda key: "50% epoch 3" if key == "4" else "", state="running"
    )
    assert record["counts"] == {
        "pgd": {"done": 3, "running": 1, "waiting": 1, "failed": 1},
        "mip": {"done": 0, "running": 1, "waiting": 3, "failed": 0},
    }
    text = "\n".join(lines(record))
    assert "pgd          3        1        1        1" in text
    assert "gpu 0  pgd on mnist 0-500 (linf 0.1, cnn, network abcdef)  0:00:05  50% epoch 3" in text
    assert "failed: pgd on mnist 0-500 (linf 0.1, cnn, network abcdef): KeyError: 'x'" in text
    # Five open jobs that are not stored, ten seconds each, ten of them spent, on two workers.
    assert text.splitlines()[-1] == "4 of 10 jobs after 0:00:00, about 0:00:20 left"


def test_hours_minutes_and_seconds() -> None:
    assert clock(3723.4) == "1:02:03"


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    Store(tmp_path).prepare()
    return RunFiles(tmp_path)


def test_a_terminal_shows_a_live_view_and_only_failures_as_lines(files: RunFiles) -> None:
    out = io.StringIO()
    display = Display(progress(), files, engine())
    display.console = Console(file=out, force_terminal=True, width=120)
    display.live = type(display.live)(
        console=display.console, transient=True, get_renderable=display._view, auto_refresh=False
    )
    with display:
        display.ended(JOBS[4], Outcome(status="done"))
        display.ended(JOBS[5], Outcome(status="failed", message="KeyError: 'y'"))
        display.live.refresh()
    shown = out.getvalue()
    assert "gpu 0  pgd on mnist" in shown
    assert (
        "[2/10] pgd on mnist 0-500 (linf 0.1, cnn, network abcdef): FAILED: KeyError: 'y'" in shown
    )
    assert "[1/10]" not in shown
    (status,) = files.statuses()
    assert status["state"] == "ended"
    assert status["counts"]["pgd"]["done"] == 4


def test_elsewhere_every_job_is_a_line(files: RunFiles, capsys: pytest.CaptureFixture[str]) -> None:
    with Display(progress(), files, engine()) as display:
        display.ended(JOBS[4], Outcome(status="done", seconds=1.25, text="epoch 2/2"))
        display.ended(JOBS[5], Outcome(status="stored"))
        display.ended(JOBS[6], Outcome(status="stored"))
    assert capsys.readouterr().err.splitlines() == [
        "[1/10] pgd on mnist 0-500 (linf 0.1, cnn, network abcdef): 1.2 s, epoch 2/2",
        "[3/10] 2 jobs stored by an earlier run",
    ]


QUICK = ("--engine", "inline", "--epochs", "1", "--points", "40", "--eval", "pgd,region")


def test_a_dry_run_counts_expects_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["run", "--methods", "plain", *QUICK, "--out", str(out)]
    dry = ["--dry-run", "--seeds", "0,1"]
    assert main([*command, *dry]) == 0
    printed = capsys.readouterr().out
    assert "2 cells, 8 jobs, 0 of them stored already" in printed
    assert "?: a guess" in printed
    assert not out.exists()
    assert main(command) == 0
    capsys.readouterr()
    before = sorted(out.rglob("*"))
    assert main([*command, *dry]) == 0
    printed = capsys.readouterr().out
    assert "2 cells, 8 jobs, 4 of them stored already" in printed
    assert "?" not in printed  # all of it was measured once
    assert sorted(out.rglob("*")) == before


def test_the_status_of_a_run_that_was_killed_says_so(
    files: RunFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    files.save_run(RunRecord(cells=(), failures={}).to_json())
    record = progress().record(engine(), lambda key: "", state="running")
    files.save_status(record | {"updated": time.time() - 3600})
    assert main(["status", str(files.root)]) == 0
    printed = capsys.readouterr().out
    assert "running, but not heard of for 1:00:00: killed, most likely" in printed
    assert "networks stored: 0 of 0" in printed
