"""What the scheduler asks of an engine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from bench.jobs.job import Job
from bench.scheduling.machine import Place
from bench.store.outcome import Cause, Outcome

Attempt = Callable[[Job, int], Outcome]
"""Does a job with so many threads, stores its result, and says how that ended; never raises."""

RETRIES: Mapping[Cause, int] = {"raised": 1, "timeout": 1, "out of memory": 1, "killed": 3}
"""How often a job is tried again, by what ended it; other causes are sure to come back."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """What a worker does right now; since: time.monotonic()."""

    worker: str
    job: Job
    since: float


@runtime_checkable
class Engine(Protocol):
    """Runs attempts at jobs somewhere, a bounded number at a time.

    retries: whether it tries again by itself; else the scheduler does. patient: whether jobs go
    on while the scheduler is told to stop, so that Ctrl-C can wait for them. capacity: how many
    jobs it works on at once, as far as it knows.
    """

    retries: bool
    patient: bool

    @property
    def capacity(self) -> int: ...

    def place(self, job: Job) -> Place:
        """Where the job would run; jobs of one place wait in one queue."""
        ...

    def fits(self, job: Job) -> bool:
        """Whether `submit` may be called with this job now."""
        ...

    def submit(self, job: Job, *, rank: float, fresh: bool) -> None:
        """Takes a job on; of two that wait inside the engine the higher rank goes first.

        fresh: on a worker that has done nothing before.
        """
        ...

    def ended(self, timeout: float) -> Sequence[tuple[Job, Outcome]]:
        """The attempts that ended since the last call; waits for one, at most `timeout` seconds."""
        ...

    def recall(self) -> Sequence[Job]:
        """Gives back the jobs that no worker has begun."""
        ...

    def running(self) -> Sequence[Running]:
        """What each busy worker does."""
        ...

    def close(self) -> None:
        """Ends all workers, and whatever they are doing. The engine cannot be used again."""
        ...
