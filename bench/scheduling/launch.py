"""From jobs and options to a run: which engine, which workers, what is stored already."""

import functools
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence

from bench.jobs.cell import Cell
from bench.jobs.job import STORED, Job, stored
from bench.jobs.job_process import Spec
from bench.scheduling.display import Display
from bench.scheduling.early_rows import Describe, EarlyRows
from bench.scheduling.engines.dask import Dask
from bench.scheduling.engines.dask_cluster import connect
from bench.scheduling.engines.inline import Inline
from bench.scheduling.engines.interface import Engine
from bench.scheduling.engines.local import Local
from bench.scheduling.machine import limit_threads, make_machine
from bench.scheduling.progress import Progress
from bench.scheduling.run_options import RunOptions
from bench.scheduling.scheduler import run
from bench.scheduling.speeds import Speeds
from bench.store.attempts import AttemptRecord
from bench.store.outcome import Outcome
from bench.store.results import Store
from bench.store.run_files import RunFiles, read_speeds, save_speeds

STATUS_KEPT = 7 * 24 * 3600.0  # seconds


class Launcher:
    """Runs the jobs of a plan as the options say.

    Nothing is written before `run`.
    """

    def __init__(self, options: RunOptions, jobs: Sequence[Job]) -> None:
        self.options = options
        self.jobs = jobs
        self.store = Store(options.folder)
        self.files = RunFiles(options.folder)
        self.machine = make_machine(
            jobs,
            gpus=options.gpus,
            jobs_per_gpu=options.jobs_per_gpu,
            workers=options.workers,
            cores=options.cores,
            reproducible=options.reproducible,
        )
        self.speeds = Speeds(read_speeds())

    def where(self, job: Job) -> str:
        """What the speed of a job depends on, but for the job."""
        if self.machine.place(job) == "gpu":
            return f"gpu/{self.options.jobs_per_gpu}"
        return f"cpu*{self.machine.threads(job)}"

    def seconds(self, job: Job) -> float:
        """How long a job is expected to take."""
        return self.speeds.seconds(job, self.where(job))

    def there(self) -> set[str]:
        """Keys of the results that the run folder holds, damaged or not."""
        return {key for kind in set(STORED.values()) for key in self.store.keys(kind)}

    def run(
        self,
        begin: Callable[[], None],
        *,
        cells: Sequence[Cell] = (),
        describe: Describe = lambda cell, failures: "",
        ended: Callable[[Job, Outcome], None] = lambda job, outcome: None,
    ) -> Mapping[str, Outcome]:
        """Runs the jobs; outcomes by key. Every worker has ended when this returns or raises.

        begin: prepares the run folder; called once it is clear that there is somebody to work.
        cells: whose rows are told, as `describe` puts them, when the last of their jobs ends.
        ended: is told of every job that has ended.
        """
        engine = self._engine()
        limit_threads(self.machine.cores if self.options.engine == "inline" else 1)
        try:
            begin()
            self.files.forget_statuses(before=time.time() - STATUS_KEPT)
            if isinstance(engine, Dask):
                engine.require_shared(self.store.root)
            progress = Progress(self.jobs, self.seconds, self.there())
            with (
                Display(progress, self.files, engine) as display,
                EarlyRows(cells, describe, display.say) as rows,
            ):
                watch = _Watches(display, rows, self.speeds, self.where, ended)
                check: Callable[[Job], bool] = functools.partial(stored, self.store)
                return run(self.jobs, engine, stored=check, seconds=self.seconds, watch=watch)
        finally:
            engine.close()
            save_speeds(self.speeds.known)

    def _engine(self) -> Engine:
        options = self.options
        spec = Spec(
            root=str(self.store.root),
            plugins=tuple(map(str, options.plugins)),
            data=None if options.data is None else str(options.data),
            timeout=options.timeout,
            apart=options.engine != "inline",
            run=uuid.uuid4().hex[:8],
        )
        if options.engine == "inline":
            if options.gpus_named:
                os.environ |= self.machine.slots[0].env if self.machine.slots else {}
            return Inline(spec.attempt, threads=self.machine.cores)
        attempts = functools.partial(_attempts, self.files, spec.run)
        if options.engine == "local":
            return Local(spec.attempt, self.machine, timeout=options.timeout, attempts=attempts)
        client, cluster = connect(options.address, self.machine)
        sys.stderr.write(f"dask dashboard: {client.dashboard_link}\n")
        return Dask(
            spec.attempt,
            client,
            cluster=cluster,
            threads=0 if cluster is None else 1,
            attempts=attempts,
            at_work=self.files.at_work,
            timeout=options.timeout,
        )


def _attempts(files: RunFiles, run: str, job: Job) -> Sequence[AttemptRecord]:
    return files.attempts(job.key, run)


class _Watches:
    """Hands everything on to the display and the rows, and learns how long jobs take."""

    def __init__(
        self,
        display: Display,
        rows: EarlyRows,
        speeds: Speeds,
        where: Callable[[Job], str],
        ended: Callable[[Job, Outcome], None],
    ) -> None:
        self.retry = display.retry
        self.tick = display.tick
        self._display = display
        self._rows = rows
        self._speeds = speeds
        self._where = where
        self._also = ended

    def ended(self, job: Job, outcome: Outcome) -> None:
        if outcome.status == "done":
            self._speeds.learn(job, self._where(job), outcome.seconds)
        self._display.ended(job, outcome)
        self._rows.ended(job, outcome)
        self._also(job, outcome)
