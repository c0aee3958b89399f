"""Runs a graph of jobs on an engine: what is ready, in a good order, failures contained.

Every job waits for the jobs it reads from and for nothing else; which of those that are ready
goes first, bench/scheduling/order.py says. A job that fails is tried again (RETRIES), then fails
those that cannot do without it, and nothing else.
"""

import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from bench.jobs.job import Job
from bench.scheduling.engines.interface import RETRIES, Engine
from bench.scheduling.order import Order
from bench.store.outcome import Cause, Outcome

TICK = 0.25  # seconds between two looks at the display
ELSEWHERE = 1.0  # seconds until a job that a run beside this one is at is looked at again
RANKING = 0.02  # share of the time that may go into ranking the waiting jobs anew


@runtime_checkable
class Watch(Protocol):
    """What is told how the run goes."""

    def ended(self, job: Job, outcome: Outcome) -> None:
        """A job has its final outcome."""
        ...

    def retry(self, job: Job, outcome: Outcome) -> None:
        """An attempt failed and the job is tried again."""
        ...

    def tick(self, engine: Engine, *, stopping: bool) -> None:
        """Several times a second."""
        ...


def run(
    jobs: Sequence[Job],
    engine: Engine,
    *,
    stored: Callable[[Job], bool],
    seconds: Callable[[Job], float],
    watch: Watch,
) -> Mapping[str, Outcome]:
    """Runs every job that is not stored, each after those it depends on; outcomes by key.

    jobs: each after the ones it names. seconds: how long a job is expected to take; it may change
    its mind. The first Ctrl-C stops handing out jobs and waits for those at work, where the engine
    can do that, and then raises KeyboardInterrupt, as the second does at once. A full or read-only
    disk raises its OSError: no job can go on. What was finished stays stored.
    """
    scheduler = _Scheduler(jobs, engine, stored, seconds, watch)
    with _patience(engine.patient) as stopping:
        return scheduler.run(stopping)


class _Scheduler:
    def __init__(
        self,
        jobs: Sequence[Job],
        engine: Engine,
        stored: Callable[[Job], bool],
        seconds: Callable[[Job], float],
        watch: Watch,
    ) -> None:
        self.jobs = {job.key: job for job in jobs}
        self.engine = engine
        self.stored = stored
        self.seconds = seconds
        self.watch = watch
        self.outcomes: dict[str, Outcome] = {}
        self.followers: dict[str, list[str]] = {key: [] for key in self.jobs}
        self.missing = {job.key: len({*job.after, *job.informed_by}) for job in jobs}
        for job in jobs:
            for key in {*job.after, *job.informed_by}:
                self.followers[key].append(job.key)
        self.order = Order(jobs, self.followers)
        self.free: deque[str] = deque()  # wait for nothing any more
        self.active: set[str] = set()
        self.elsewhere: dict[str, float] = {}  # key -> when to look again
        self.attempts: dict[str, Counter[Cause]] = {}
        self.again: set[str] = set()  # to be tried on a fresh worker
        self.hopeless: set[tuple[object, str]] = set()  # faults that came back on a fresh worker
        self.handed = 0
        # when, and how long that took
        self.ranked = time.monotonic()
        self.ranking = 0.0

    def run(self, stopping: Callable[[], bool]) -> Mapping[str, Outcome]:
        self._rank()
        self.free += [key for key, n in self.missing.items() if n == 0]
        while len(self.outcomes) < len(self.jobs):
            self._look_again()
            self._release()
            if not stopping():
                self._hand_out()
            else:
                self.active -= {job.key for job in self.engine.recall()}
                if not self.active:
                    raise KeyboardInterrupt
            idle = self.free or not (self.active or self.elsewhere)
            for job, outcome in self.engine.ended(0.0 if idle else TICK):
                self._take(job, outcome)
            self.watch.tick(self.engine, stopping=stopping())
            if time.monotonic() - self.ranked > self.ranking / RANKING:
                self._rank()
        return self.outcomes

    def _rank(self) -> None:
        """Learns anew how long jobs are expected to take, which may change their order."""
        started = time.monotonic()
        self.order.rank(self.seconds, self.outcomes)
        self.ranked = time.monotonic()
        self.ranking = max(self.ranked - started, TICK * RANKING)

    def _release(self) -> None:
        """Jobs that wait for nothing any more: to be handed out, unless their end is known.

        Whether a result is stored takes a while where it is large: others must not wait for it.
        """
        started = time.monotonic()
        while self.free and time.monotonic() - started < TICK:
            job = self.jobs[self.free.popleft()]
            before = [self.outcomes[key] for key in job.after]
            broken = [outcome for outcome in before if outcome.status in ("failed", "skipped")]
            if broken:
                cause = broken[0].cause
                message = broken[0].message
                self._end(job, Outcome(status="skipped", cause=cause, message=message))
            elif self.stored(job):
                self._end(job, Outcome(status="stored"))
            else:
                self._queue(job)

    def _queue(self, job: Job) -> None:
        self.order.add(job.key, self.engine.place(job))

    def _end(self, job: Job, outcome: Outcome) -> None:
        """Notes a job's outcome, and frees those that waited for nothing else."""
        self.outcomes[job.key] = outcome
        self.order.end(job.key)
        self.watch.ended(job, outcome)
        for key in self.followers[job.key]:
            self.missing[key] -= 1
            if self.missing[key] == 0:
                self.free.append(key)

    def _hand_out(self) -> None:
        for place in self.order.places():
            while (key := self.order.next(place, self.engine.capacity)) is not None:
                job = self.jobs[key]
                if not self.engine.fits(job):
                    break
                self.order.begin(key, place)
                self.active.add(key)
                self.handed += 1
                fresh = key in self.again
                self.again.discard(key)
                self.engine.submit(job, rank=-self.handed, fresh=fresh)

    def _take(self, job: Job, outcome: Outcome) -> None:
        """What an attempt came to."""
        self.active.discard(job.key)
        if outcome.status == "elsewhere":
            self.elsewhere[job.key] = time.monotonic() + ELSEWHERE
        elif outcome.cause == "disk":
            raise OSError(outcome.errno, outcome.message)
        elif outcome.status == "failed" and self._try_again(job, outcome):
            self.watch.retry(job, outcome)
            self.again.add(job.key)
            self._queue(job)
        else:
            self._end(job, outcome)

    def _try_again(self, job: Job, outcome: Outcome) -> bool:
        if self.engine.retries:
            return False
        what = (job.settings.get("method") or job.settings.get("evaluator"), outcome.fault)
        tried = self.attempts.setdefault(job.key, Counter())
        tried[outcome.cause] += 1
        if tried[outcome.cause] > RETRIES.get(outcome.cause, 0):
            self.hopeless.add(what)
            return False
        # A plugin that fails alike on every shard shall not cost a fresh worker for each of them.
        return outcome.cause != "raised" or what not in self.hopeless

    def _look_again(self) -> None:
        now = time.monotonic()
        for key in [key for key, when in self.elsewhere.items() if when <= now]:
            del self.elsewhere[key]
            self.free.append(key)


@contextmanager
def _patience(patient: bool) -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed; a second one raises, as does the first where not `patient`.

    A shell starts what runs in the background with Ctrl-C ignored, and so it stays: a key that is
    pressed for another command ends no run.
    """
    pressed = threading.Event()

    def press(*_: object) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored or not (patient and threading.current_thread() is threading.main_thread()):
        yield pressed.is_set
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
