"""From jobs and options to a run: which engine, which workers, what is stored already."""

import argparse
import functools
import math
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from bench.attempt import Spec
from bench.attempts import AttemptRecord
from bench.display import Display
from bench.early import Describe, EarlyRows
from bench.engines.dask import Dask, connect
from bench.engines.inline import Inline
from bench.engines.interface import Engine
from bench.engines.local import Local
from bench.freshness import stored
from bench.job import STORED, Job
from bench.machine import limit_threads, make_machine, parse_cores, parse_gpus
from bench.outcome import Outcome
from bench.plan import Cell
from bench.progress import Progress
from bench.runfiles import RunFiles, read_speeds, save_speeds
from bench.schedule import run
from bench.speeds import Speeds
from bench.store import Store
from bench.suite import read_suite
from relu.names import InputError, suggestion

EngineName = Literal["inline", "local", "dask"]
STATUS_KEPT = 7 * 24 * 3600.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where and how jobs run.

    workers: None where none are asked for. reproducible: with one thread per job and what all
    CPUs can do alike. timeout: None: no limit.
    """

    engine: EngineName
    gpus: tuple[str, ...]
    jobs_per_gpu: int
    workers: int | None
    cores: int
    reproducible: bool
    timeout: float | None


def parse_running(options: argparse.Namespace) -> Running:
    """What the options about how to run say. Raises InputError for what makes no sense."""
    gpus, workers = parse_gpus(options.gpus), options.workers
    jobs_per_gpu = _whole(options.jobs_per_gpu, "jobs-per-gpu")
    count = None if workers is None else _whole(workers, "workers")
    return Running(
        engine=_engine_name(options),
        gpus=tuple(gpus),
        jobs_per_gpu=jobs_per_gpu,
        workers=count,
        cores=parse_cores(options.cpus, workers=count, on_gpus=len(gpus) * jobs_per_gpu),
        reproducible=_reproducible(options),
        timeout=_seconds(options.timeout),
    )


class Launcher:
    """Runs the jobs of a plan as the options say. Raises InputError for options that make no sense.

    Nothing is written before `run`.
    """

    def __init__(self, options: argparse.Namespace, jobs: Sequence[Job]) -> None:
        self.options, self.jobs = options, jobs
        self.store = Store(Path(options.out).absolute())
        self.files = RunFiles(self.store.root)
        running = parse_running(options)
        self.engine_name, self.timeout = running.engine, running.timeout
        self.machine = make_machine(
            jobs,
            gpus=running.gpus,
            jobs_per_gpu=running.jobs_per_gpu,
            workers=running.workers,
            cores=running.cores,
            reproducible=running.reproducible,
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
    ) -> Mapping[str, Outcome]:
        """Runs the jobs; outcomes by key. Every worker has ended when this returns or raises.

        begin: prepares the run folder; called once it is clear that there is somebody to work.
        cells: whose rows are told, as `describe` puts them, when the last of their jobs ends.
        """
        engine = self._engine()
        limit_threads(self.machine.cores if self.engine_name == "inline" else 1)
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
                watch = _Watches(display, rows, self.speeds, self.where)
                check: Callable[[Job], bool] = functools.partial(stored, self.store)
                return run(self.jobs, engine, stored=check, seconds=self.seconds, watch=watch)
        finally:
            engine.close()
            save_speeds(self.speeds.known)

    def _engine(self) -> Engine:
        options = self.options
        spec = Spec(
            root=str(self.store.root),
            plugins=tuple(str(Path(plugin).absolute()) for plugin in options.plugin),
            data=str(Path(place).absolute()) if (place := data_folder(options)) else None,
            timeout=self.timeout,
            apart=self.engine_name != "inline",
            run=uuid.uuid4().hex[:8],
        )
        if self.engine_name == "inline":
            if options.gpus != "auto":
                os.environ |= self.machine.slots[0].env if self.machine.slots else {}
            return Inline(spec.attempt, threads=self.machine.cores)
        attempts = functools.partial(_attempts, self.files, spec.run)
        if self.engine_name == "local":
            return Local(spec.attempt, self.machine, timeout=self.timeout, attempts=attempts)
        client, cluster = connect(options.address, self.machine)
        sys.stderr.write(f"dask dashboard: {client.dashboard_link}\n")
        return Dask(
            spec.attempt,
            client,
            cluster=cluster,
            threads=0 if cluster is None else 1,
            attempts=attempts,
            at_work=self.files.at_work,
            timeout=self.timeout,
        )


def _attempts(files: RunFiles, run: str, job: Job) -> Sequence[AttemptRecord]:
    return files.attempts(job.key, run)


class _Watches:
    """Hands everything on to the display and the rows, and learns how long jobs take."""

    def __init__(
        self, display: Display, rows: EarlyRows, speeds: Speeds, where: Callable[[Job], str]
    ) -> None:
        self.retry, self.tick = display.retry, display.tick
        self._display, self._rows, self._speeds, self._where = display, rows, speeds, where

    def ended(self, job: Job, outcome: Outcome) -> None:
        if outcome.status == "done":
            self._speeds.learn(job, self._where(job), outcome.seconds)
        self._display.ended(job, outcome)
        self._rows.ended(job, outcome)


def data_folder(options: argparse.Namespace) -> str | None:
    """The folder of --data, or else of BENCH_DATA."""
    return options.data or os.environ.get("BENCH_DATA") or None


def _engine_name(options: argparse.Namespace) -> EngineName:
    names = get_args(EngineName)
    if options.engine not in names:
        near = suggestion(options.engine, names)
        raise InputError(f"--engine expects {', '.join(names)}, got {options.engine!r}{near}")
    if options.address is not None and options.engine != "dask":
        raise InputError("--address names a dask scheduler: give --engine dask too")
    name: EngineName = options.engine
    return name


def _reproducible(options: argparse.Namespace) -> bool:
    """Whether the option or the suite asks for it, and jobs get processes of our own."""
    ours = options.engine != "inline" and options.address is None
    if options.reproducible and not ours:
        raise InputError("--reproducible needs worker processes of this run: no inline, no address")
    suite = getattr(options, "suite", None) or ""
    parts = read_suite(suite) if suite else []
    asked = any(part.get("reproducible", False) for part in parts)
    return ours and (options.reproducible or asked)


def _whole(text: str, name: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 10**4:
        raise InputError(f"--{name} expects a whole number from 1, got {text!r}")
    return int(text)


def _seconds(text: str) -> float | None:
    """Seconds, None for "none"."""
    try:
        seconds = math.inf if text == "none" else float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise InputError(f"--timeout expects a number of seconds, or none, got {text!r}")
    return seconds if seconds < 10**8 else None
