"""What a person sees while jobs run: a bar on a terminal, a line per job elsewhere (stderr)."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bench.job import Job
from bench.schedule import Outcome
from relu.threat import format_eps


class Live:
    """One bar for the job at hand, and a line for every job that ended."""

    def __init__(self, jobs: int) -> None:
        self.jobs, self.ended = jobs, 0
        self.console = Console(file=sys.stderr)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("", text="", total=1)
        self.shown, self.text = 0.0, ""

    def __enter__(self) -> "Live":
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def start(self, job: Job) -> None:
        """A job begins."""
        self.bar.reset(self.task, total=1, description=describe(job).split(" (")[0], text="")
        self.text = ""

    def progress(self, done: int, total: int, text: str) -> None:
        """The job at hand has done `done` of `total`; `text` says what it measures."""
        self.text = text
        if time.monotonic() - self.shown > 0.1:
            self.bar.update(self.task, completed=done, total=total, text=text)
            self.shown = time.monotonic()

    def end(self, job: Job, outcome: Outcome) -> None:
        """A job ended."""
        self.ended += 1
        text = f"{outcome.seconds:.1f} s"
        if outcome.status == "stored":
            text = "stored by an earlier run"
        elif outcome.status in ("failed", "skipped"):
            text = f"{outcome.status.upper()}: {outcome.message}"
        elif self.text:
            text += f", {self.text}"
        line = f"[{self.ended}/{self.jobs}] {describe(job)}: {text}"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def describe(job: Job) -> str:
    """A job in a few words."""
    s = job.settings
    if job.kind == "train":
        what = f"{s['arch']}, seed {s['seed']}, network {job.key[:6]}"
        return f"train {s['method']} on {s['dataset']} ({what})"
    if job.kind == "import":
        return f"import {job.path}"
    network = f"{s['arch']}, network {s['network'][:6]}"
    if job.kind == "clean":
        return f"predict the test set of {s['dataset']} ({network})"
    threat = f"{s['threat']['norm']} {format_eps(s['threat']['eps'])}"
    return f"{s['evaluator']} on {s['dataset']} {s['start']}-{s['stop']} ({threat}, {network})"
