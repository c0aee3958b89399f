"""What a person sees while jobs run (stderr): a live view on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from bench.jobs.job import Job
from bench.scheduling.engines.interface import Engine
from bench.scheduling.progress import Progress, describe, lines
from bench.store.outcome import Outcome
from bench.store.run_files import RunFiles

LOOKED_EVERY = 0.25  # seconds between two looks at the engine for the live view
TOLD_EVERY = 1.0  # seconds between two updates of the status file


class Display:
    """Shows a run's progress, and notes it for `bench status`."""

    def __init__(self, progress: Progress, files: RunFiles, engine: Engine) -> None:
        self.progress = progress
        self.files = files
        self.engine = engine
        self.console = Console(file=sys.stderr)
        self.total = sum(progress.total.values())
        self.ended_jobs = self.stored = 0
        self.told = self.looked = float("-inf")
        self.state = "running"
        self.record: dict[str, Any] = {}
        self._look()
        self.live = Live(
            console=self.console, transient=True, refresh_per_second=4, get_renderable=self._view
        )

    def __enter__(self) -> "Display":
        self._tell()
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live.is_started:
            self.live.stop()
        self._say_stored()
        self.state = "ended" if error is None else "interrupted"
        self._tell()

    def ended(self, job: Job, outcome: Outcome) -> None:
        """A job has its final outcome."""
        self.progress.end(job, outcome)
        self.ended_jobs += 1
        if outcome.status == "stored":
            self.stored += 1
            return
        self._say_stored()
        bad = outcome.status in ("failed", "skipped")
        if not self.console.is_terminal or bad:
            self.say(f"[{self.ended_jobs}/{self.total}] {describe(job)}: {_words(outcome)}")

    def retry(self, job: Job, outcome: Outcome) -> None:
        """An attempt failed and the job is tried again."""
        self.say(f"{describe(job)}: {outcome.message}; trying again on a fresh worker")

    def tick(self, engine: Engine, *, stopping: bool) -> None:
        """Several times a second."""
        if stopping and self.state == "running":
            self.state = "stopping"
            jobs = len(engine.running())
            self.say(f"finishing {jobs} jobs, starting no more; Ctrl-C again stops at once")
        if self.live.is_started and time.monotonic() - self.looked > LOOKED_EVERY:
            self._look()
        if time.monotonic() - self.told > TOLD_EVERY:
            self._say_stored()
            self._tell()

    def _tell(self) -> None:
        self._look()
        with contextlib.suppress(OSError):  # what nobody can read is no reason to end a run
            self.files.save_status(self.record)
        self.told = time.monotonic()

    def _look(self) -> None:
        self.record = self.progress.record(self.engine, self.files.progress, state=self.state)
        self.looked = time.monotonic()

    def _view(self) -> RenderableType:
        """Drawn by a thread of its own, from what the scheduler's thread saw last."""
        record = self.record
        if not self.engine.patient:  # that thread is at the job itself
            record = record | {"running": self.progress.running(self.engine, self.files.progress)}
        bar = ProgressBar(total=max(1, self.total), completed=self.ended_jobs, width=40)
        text = Text("\n".join(lines(record)), no_wrap=True, overflow="ellipsis")
        return Group(text, bar)

    def _say_stored(self) -> None:
        if self.stored:
            jobs = "1 job" if self.stored == 1 else f"{self.stored} jobs"
            self.say(f"[{self.ended_jobs}/{self.total}] {jobs} stored by an earlier run")
            self.stored = 0

    def say(self, line: str) -> None:
        """Prints a line above the live view; any thread may."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _words(outcome: Outcome) -> str:
    if outcome.status in ("failed", "skipped"):
        return f"{outcome.status.upper()}: {outcome.message}"
    return f"{outcome.seconds:.1f} s" + (f", {outcome.text}" if outcome.text else "")
