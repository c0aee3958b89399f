"""One attempt at a job, inside a worker process: its lock, its log, its time limit, its outcome."""

import contextlib
import faulthandler
import functools
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import torch

from bench.jobs.job import Job, stored
from bench.jobs.kinds import Worker
from bench.jobs.out_of_memory import free_cached_memory
from bench.jobs.surroundings import own_state
from bench.plugins.discovery import discover
from bench.store.attempts import timeouts
from bench.store.outcome import Outcome, failure, timed_out
from bench.store.results import Store
from bench.store.run_files import RunFiles

NOTED_EVERY = 2.0  # seconds between two notes of a job's progress
LATE_AGAIN = 2  # attempts of one run that may be over their time

# Jobs own torch's global generator, its number of threads and the time limit of their process.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What a worker must know to do any job of a run; it can be sent anywhere.

    root: the run folder, which all workers share. plugins: files given by path. data: the folder
    of --data. timeout: seconds per job (None: no limit). apart: whether the process is a worker's
    own: what it prints goes to the job's log, and running out of time ends it. run: a name of this
    run, to tell its attempts from those of others.
    """

    root: str
    plugins: tuple[str, ...]
    data: str | None
    timeout: float | None
    apart: bool
    run: str

    def attempt(self, job: Job, threads: int) -> Outcome:
        """Does a job in this process, with so many torch threads (0: as it is); never raises.

        An outcome of status "elsewhere" says that another process is at the same job.
        """
        with _one_at_a_time:
            started = time.perf_counter()
            try:
                return self._locked(job, threads)
            except self._caught as error:
                return failure(error, root=self.root, seconds=time.perf_counter() - started)

    @property
    def _caught(self) -> type[BaseException] | tuple[type[BaseException], ...]:
        """What a job may raise without ending more than itself; Ctrl-C in this process does."""
        return BaseException if self.apart else (Exception, SystemExit)

    def _locked(self, job: Job, threads: int) -> Outcome:
        files = RunFiles(Path(self.root))
        with files.claim(job.key) as free:
            if not free:
                return Outcome(status="elsewhere")
            if self.timeout and timeouts(files.attempts(job.key, self.run)) >= LATE_AGAIN:
                return timed_out(self.timeout)  # where the engine itself goes on trying
            outcome = self._noted(job, threads, files)
            if self.apart and outcome.status == "failed" and not _gpu_works():
                os._exit(1)  # after some errors CUDA needs a new process
            return outcome

    def _noted(self, job: Job, threads: int, files: RunFiles) -> Outcome:
        """An attempt, and the record of its beginning and end."""
        beginning = files.begin_attempt(job.key, self.run)
        started = time.perf_counter()
        try:
            outcome = self._prepared(job, threads, files)
        except self._caught as error:
            outcome = failure(error, root=self.root, seconds=time.perf_counter() - started)
        files.end_attempt(job.key, beginning, outcome)
        return outcome

    def _prepared(self, job: Job, threads: int, files: RunFiles) -> Outcome:
        worker = _worker(self)
        if stored(worker.store, job):  # by a run beside this one
            return Outcome(status="stored")
        if threads:
            torch.set_num_threads(threads)
        with files.log(job.key) as log, self._apart(job, files, log), own_state(job):
            return self._logged(worker, job, files, log)

    def _logged(self, worker: Worker, job: Job, files: RunFiles, log: TextIO) -> Outcome:
        notes = _Notes(files, job.key, log)
        started = time.perf_counter()
        where = f"{socket.gethostname()}, process {os.getpid()}, {torch.get_num_threads()} threads"
        log.write(f"=== attempt {self.run} at {time.strftime('%Y-%m-%d %H:%M:%S')} on {where}\n")
        try:
            worker.execute(job, notes)
            outcome = Outcome(status="done", text=notes.text, seconds=time.perf_counter() - started)
        except self._caught as error:
            outcome = failure(
                error, root=self.root, text=notes.text, seconds=time.perf_counter() - started
            )
            log.write(outcome.details)
        finally:
            free_cached_memory()  # a neighbour on the card may need it
            with contextlib.suppress(OSError):
                files.save_progress(job.key, "")
        log.write(f"{outcome.status} after {outcome.seconds:.3f} s {outcome.message}\n")
        return outcome

    @contextlib.contextmanager
    def _apart(self, job: Job, files: RunFiles, log: TextIO) -> Iterator[None]:
        """What is printed goes to the log; being over time ends the process, and says where."""
        if not self.apart:
            yield
            return
        with (
            self._limited(job, files),
            contextlib.redirect_stdout(log),
            contextlib.redirect_stderr(log),
        ):
            yield

    @contextlib.contextmanager
    def _limited(self, job: Job, files: RunFiles) -> Iterator[None]:
        if self.timeout is None:
            yield
            return
        with files.trace(job.key) as trace:
            faulthandler.dump_traceback_later(self.timeout, exit=True, file=trace)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()


def _gpu_works() -> bool:
    try:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True


class _Notes:
    """A job's progress: now and then to a file that others read, its milestones to the log."""

    def __init__(self, files: RunFiles, key: str, log: TextIO) -> None:
        self.files = files
        self.key = key
        self.log = log
        self.text = ""
        self.noted = time.monotonic()

    def progress(self, done: int, total: int) -> None:
        if time.monotonic() - self.noted > NOTED_EVERY:
            self.noted = time.monotonic()
            with contextlib.suppress(OSError):  # a note is not worth a failed job
                self.files.save_progress(self.key, f"{done / total:.0%} {self.text}".strip())

    def note(self, text: str) -> None:
        self.text = text
        self.log.write(text + "\n")


@functools.lru_cache(maxsize=1)
def _worker(spec: Spec) -> Worker:
    data = Path(spec.data) if spec.data else None
    catalogue = discover([Path(plugin) for plugin in spec.plugins], data)
    return Worker(Store(Path(spec.root)), catalogue, data, run=spec.run)
