"""GPUs and cores of one machine: a loky worker process per slot.

Each slot has a pool of its own with a single worker, as a pool whose worker dies takes the jobs of
all its other workers with it.
"""

import contextlib
import os
import queue
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.backend.utils import kill_process_tree

from bench.jobs.job import Job
from bench.scheduling.engines.interface import Attempt, Running
from bench.scheduling.machine import Machine, Place, Slot
from bench.store.attempts import AttemptRecord
from bench.store.outcome import Outcome, failure, killed, timed_out

GRACE = 60.0  # seconds beyond the timeout in which a worker may start up and end a job by itself
WATCHED_EVERY = 0.5  # seconds between a worker's looks at whether its parent lives


@dataclass(eq=False)
class _Seat:
    """A slot, its worker process if it has one, and the job it is at."""

    slot: Slot
    pool: Any = None
    job: Job | None = None
    since: float = 0.0
    threads: int = 0
    workers: Sequence[Any] = ()  # the job's process; its exit code outlives it
    late: bool = False  # killed for being over its time


class Local:
    """Runs jobs in worker processes of this machine; they end with this process, however it ends.

    A worker sees only its own GPU. A job takes as many cores as it has threads.
    """

    retries = False
    patient = True

    def __init__(
        self,
        attempt: Attempt,
        machine: Machine,
        *,
        timeout: float | None,
        attempts: Callable[[Job], Sequence[AttemptRecord]] = lambda job: (),
    ) -> None:
        # loky replaces a worker that has grown much, and warns as if a job had been lost.
        warnings.filterwarnings("ignore", message="A worker stopped while", category=UserWarning)
        self._attempt = attempt
        self._machine = machine
        self._timeout = timeout
        self._attempts = attempts
        self._seats = [_Seat(slot) for slot in machine.slots]
        self._ended: queue.SimpleQueue[tuple[_Seat, Future[Outcome]]] = queue.SimpleQueue()

    @property
    def capacity(self) -> int:
        return len(self._seats)

    def place(self, job: Job) -> Place:
        return self._machine.place(job)

    def fits(self, job: Job) -> bool:
        taken = sum(seat.threads for seat in self._seats if seat.job)
        enough = self._machine.threads(job) <= self._machine.cores - taken
        return enough and self._free(job) is not None

    def submit(self, job: Job, *, rank: float, fresh: bool) -> None:
        seat = self._free(job)
        assert seat is not None
        if fresh:
            self._dismiss(seat)
        seat.job = job
        seat.since = time.monotonic()
        seat.threads = self._machine.threads(job)
        try:
            future = self._hand(seat, job)
        except BrokenProcessPool:  # its worker died while it had nothing to do
            self._dismiss(seat)
            future = self._hand(seat, job)
        future.add_done_callback(lambda done: self._ended.put((seat, done)))

    def ended(self, timeout: float) -> Sequence[tuple[Job, Outcome]]:
        self._end_late_ones()
        outcomes = []
        with contextlib.suppress(queue.Empty):
            outcomes.append(self._take(*self._ended.get(timeout=timeout)))
            while True:
                outcomes.append(self._take(*self._ended.get_nowait()))
        return outcomes

    def recall(self) -> Sequence[Job]:
        return ()

    def running(self) -> Sequence[Running]:
        busy = [(seat, seat.job) for seat in self._seats]
        return [
            Running(worker=seat.slot.name, job=job, since=seat.since) for seat, job in busy if job
        ]

    def close(self) -> None:
        for seat in self._seats:
            self._dismiss(seat)

    def _hand(self, seat: _Seat, job: Job) -> "Future[Outcome]":
        with _interrupts_held():  # a worker inherits this: Ctrl-C is for us alone
            if seat.pool is None:
                seat.pool = ProcessPoolExecutor(
                    max_workers=1,
                    initializer=_begin,
                    initargs=(os.getpid(),),
                    env=dict(seat.slot.env),
                )
            future: Future[Outcome] = seat.pool.submit(self._attempt, job, seat.threads)
        seat.workers = list(seat.pool._processes.values())
        return future

    def _free(self, job: Job) -> _Seat | None:
        """A free seat of the job's kind; one whose worker is warm, if there is any."""
        place = self._machine.place(job)
        free = [s for s in self._seats if s.job is None and s.slot.place == place]
        return min(free, key=lambda seat: seat.pool is None, default=None)

    def _take(self, seat: _Seat, future: "Future[Outcome]") -> tuple[Job, Outcome]:
        job = seat.job
        seconds = time.monotonic() - seat.since
        assert job is not None
        try:
            outcome = future.result()
        except BrokenProcessPool:
            outcome = self._death(seat, job)
            self._dismiss(seat)
        except Exception as error:  # what a job or an outcome cannot be pickled for
            outcome = failure(error)
        seat.job = None
        seat.late = False
        return job, replace(outcome, seconds=outcome.seconds or seconds)

    def _death(self, seat: _Seat, job: Job) -> Outcome:
        late = seat.late or any(attempt.late for attempt in self._attempts(job)[-1:])
        if late and self._timeout is not None:
            return timed_out(self._timeout)
        codes = [worker.exitcode for worker in seat.workers if worker.exitcode]
        return killed(", ".join(map(_exit, codes)) or "no exit code")

    def _end_late_ones(self) -> None:
        """Kills what the worker itself, stuck in foreign code, did not end in time."""
        for seat in self._seats:
            spent = time.monotonic() - seat.since
            if seat.job and self._timeout is not None and spent > self._timeout + GRACE:
                seat.late = True
                _kill(seat.pool)

    def _dismiss(self, seat: _Seat) -> None:
        if seat.pool is not None:
            _kill(seat.pool)
            seat.pool.shutdown(wait=False, kill_workers=True)
            seat.pool = None


def _exit(code: int) -> str:
    """An exit code for people."""
    try:
        return f"{signal.Signals(-code).name}({code})"
    except ValueError:
        return f"exit code {code}"


def _kill(pool: Any) -> None:
    """Kills the pool's worker, and what it started itself."""
    for process in list((pool._processes or {}).values()):
        kill_process_tree(process)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: int) -> None:
    """First thing in a worker: leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCHED_EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
