"""Jobs one after the other in this process: for debuggers and tests."""

import time
from collections import deque
from collections.abc import Sequence

from bench.jobs.job import Job
from bench.scheduling.engines.interface import Attempt, Running
from bench.scheduling.machine import Place
from bench.store.outcome import Outcome


class Inline:
    """Runs each job when it is submitted; nothing can stop one but Ctrl-C."""

    retries = False
    patient = False
    capacity = 1

    def __init__(self, attempt: Attempt, *, threads: int) -> None:
        self._attempt = attempt
        self._threads = threads
        self._done: deque[tuple[Job, Outcome]] = deque()
        self._at: tuple[Running, ...] = ()

    def place(self, job: Job) -> Place:
        return "cpu"

    def fits(self, job: Job) -> bool:
        return not self._done

    def submit(self, job: Job, *, rank: float, fresh: bool) -> None:
        self._at = (Running(worker="here", job=job, since=time.monotonic()),)
        self._done.append((job, self._attempt(job, self._threads)))
        self._at = ()

    def ended(self, timeout: float) -> Sequence[tuple[Job, Outcome]]:
        if not self._done:
            time.sleep(timeout)
        outcomes = list(self._done)
        self._done.clear()
        return outcomes

    def recall(self) -> Sequence[Job]:
        return ()

    def running(self) -> Sequence[Running]:
        return self._at

    def close(self) -> None:
        self._done.clear()
