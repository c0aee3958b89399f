"""Rows of cells that are finished, told while the run goes on."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from bench.jobs.cell import Cell
from bench.jobs.job import Job
from bench.store.outcome import Outcome
from bench.store.run_record import CellRecord

Describe = Callable[[CellRecord, Mapping[str, str]], str]
"""A line about a cell's record, from what is stored, and what failed (job key -> why)."""
BEHIND = 10  # rows that may wait to be told; where cells end faster, some are left to the table


class EarlyRows:
    """Tells of a cell when its last job has ended, unless all of them were stored before.

    A thread of its own works out the row: it reads evidence, for which no job shall wait.
    """

    def __init__(
        self, cells: Sequence[Cell], describe: Describe, say: Callable[[str], None]
    ) -> None:
        self.describe = describe
        self.say = say
        self.cells = list(cells)
        self.of: dict[str, list[int]] = {}  # job key -> cells
        self.open: list[set[str]] = []
        for i, cell in enumerate(self.cells):
            self.open.append({job.key for job in cell.jobs()})
            for key in self.open[i]:
                self.of.setdefault(key, []).append(i)
        self.worked_on: set[int] = set()
        self.failures: dict[str, str] = {}
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.waiting: list[Future[None]] = []

    def __enter__(self) -> "EarlyRows":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The table comes now: what was not told yet, it says."""
        self.thread.shutdown(wait=True, cancel_futures=True)

    def ended(self, job: Job, outcome: Outcome) -> None:
        """A job has its final outcome."""
        if outcome.status in ("failed", "skipped"):
            self.failures[job.key] = outcome.message
        for i in self.of.get(job.key, ()):
            self.open[i].discard(job.key)
            if outcome.status != "stored":
                self.worked_on.add(i)
            if not self.open[i] and i in self.worked_on:
                self._tell(self.cells[i])

    def _tell(self, cell: Cell) -> None:
        self.waiting = [row for row in self.waiting if not row.done()]
        if len(self.waiting) < BEHIND:
            told = self.thread.submit(self._row, cell.record(), dict(self.failures))
            self.waiting.append(told)

    def _row(self, record: CellRecord, failures: Mapping[str, str]) -> None:
        try:
            self.say(self.describe(record, failures))
        except Exception as error:  # the run is worth more than a line about it
            self.say(f"no row yet: {type(error).__name__}: {error}")
