"""A dask cluster: one that is there already, or one that is started here for the run.

Dask's own machinery does what it is good at: it places jobs by resource ("GPU", "CPU") and
priority, restarts workers that die, and tries their jobs and those that raised again.
"""

import os
import queue
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.jobs.job import Job
from bench.scheduling.engines.dask_cluster import STARTING
from bench.scheduling.engines.interface import RETRIES, Attempt, Running
from bench.scheduling.machine import Place
from bench.store.attempts import AttemptRecord, deaths, timeouts
from bench.store.outcome import Outcome, failure, killed, timed_out
from relu.errors import InputError

IN_FLIGHT = 3  # jobs of a place that dask may hold, per thread that it has
ASKED_EVERY = 3.0  # seconds between two looks at which workers there are


@dataclass(frozen=True)
class _Task:
    """A job in dask's hands."""

    job: Job
    place: Place
    future: Any
    rank: float


class JobFailed(Exception):
    """Tells dask that an attempt failed and is worth another; args: its outcome."""


class Dask:
    """Hands jobs to a dask scheduler.

    A job asks for one "GPU" or one "CPU" of a worker's resources, where any worker has such.
    """

    retries = True
    patient = True

    def __init__(
        self,
        attempt: Attempt,
        client: Any,
        *,
        cluster: Any,
        threads: int,
        attempts: Callable[[Job], Sequence[AttemptRecord]],
        at_work: Callable[[], Collection[str]],
        timeout: float | None,
    ) -> None:
        self._attempt = attempt
        self._client = client
        self._cluster = cluster
        self._threads = threads
        self._timeout = timeout
        self._attempts = attempts
        self._at_work = at_work
        self._jobs: dict[str, _Task] = {}  # by their names in dask
        self._since: dict[str, float] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._submitted = 0
        self._workers: list[dict[str, Any]] = []
        self._asked = float("-inf")
        self._alive = time.monotonic()

    def workers(self) -> list[dict[str, Any]]:
        """What the scheduler says of its workers, which come and go."""
        if time.monotonic() - self._asked > ASKED_EVERY:
            info = self._client.scheduler_info(n_workers=-1)
            self._workers = list(info["workers"].values())
            self._asked = time.monotonic()
        return self._workers

    @property
    def capacity(self) -> int:
        return max(1, sum(int(worker["nthreads"]) for worker in self.workers()))

    def place(self, job: Job) -> Place:
        return "gpu" if job.resource == "gpu" and "GPU" in self._named() else "cpu"

    def fits(self, job: Job) -> bool:
        place = self.place(job)
        held = sum(task.place == place for task in self._jobs.values())
        return held < IN_FLIGHT * self.capacity

    def submit(self, job: Job, *, rank: float, fresh: bool) -> None:
        self._submitted += 1  # dask remembers names for a while, and what became of them
        name = f"{job.settings.get('evaluator', job.kind)}-{job.key}-{self._submitted}"
        place = self.place(job)
        named = place.upper() in self._named()
        future = self._client.submit(
            _work,
            self._attempt,
            job,
            self._threads,
            key=name,
            pure=False,
            retries=RETRIES["raised"],
            priority=rank,
            resources={place.upper(): 1} if named else None,
        )
        self._jobs[name] = _Task(job, place, future, rank)
        future.add_done_callback(lambda done: self._ended.put(done.key))

    def ended(self, timeout: float) -> Sequence[tuple[Job, Outcome]]:
        names = []
        with suppress(queue.Empty):
            names.append(self._ended.get(timeout=timeout))
            while True:
                names.append(self._ended.get_nowait())
        if not names and self._client.status != "running":
            raise ConnectionError("lost the dask scheduler")
        if not names:
            self._require_workers()
        # Those that are no longer here were recalled.
        taken = [self._take(name) for name in names if name in self._jobs]
        return [(job, outcome) for job, outcome in taken if outcome is not None]

    def _require_workers(self) -> None:
        """Of a cluster of our own, as nobody else would start others."""
        if self._cluster is None or self.workers():
            self._alive = time.monotonic()
        elif time.monotonic() - self._alive > STARTING:
            raise ConnectionError("no worker of the dask cluster on this machine starts again")

    def _take(self, name: str) -> tuple[Job, Outcome | None]:
        """A job's outcome, None where dask tries it again."""
        task = self._jobs[name]
        future = self._jobs[name].future
        job = task.job
        if future.status == "pending":  # its worker died with the result: dask computes it again
            future.add_done_callback(lambda done: self._ended.put(done.key))
            return job, None
        del self._jobs[name]
        self._since.pop(name, None)
        try:
            outcome: Outcome = future.result()
        except JobFailed as error:
            outcome = error.args[0]
        except CancelledError as error:
            raise ConnectionError("lost the dask scheduler, or it dropped a job") from error
        except Exception as error:
            if _killed_worker(error):
                return job, self._death(task)
            outcome = failure(error)
        return job, outcome

    def _death(self, task: "_Task") -> Outcome | None:
        """Dask gives up on all jobs that a dying worker was to do; records say who did it."""
        attempts = self._attempts(task.job)
        if self._timeout is not None and timeouts(attempts):
            return timed_out(self._timeout)
        if deaths(attempts) > RETRIES["killed"]:
            return killed("at every attempt")
        failed = [a.ending for a in attempts if a.ending and a.ending.status == "failed"]
        if failed and len(failed) > RETRIES.get(failed[-1].cause, 0):  # and then lost its card
            return Outcome(status="failed", cause=failed[-1].cause, message=failed[-1].message)
        self.submit(task.job, rank=task.rank, fresh=True)
        return None

    def _named(self) -> set[str]:
        return {name for worker in self.workers() for name in worker["resources"]}

    def require_shared(self, root: Path) -> None:
        """Raises InputError where a worker does not see the very folder that this process sees."""
        here = _inode(str(root))
        for worker, inode in self._client.run(_inode, str(root), on_error="return").items():
            # An OSError is a worker that died meanwhile, which is dask's business.
            if inode != here and not isinstance(inode, OSError):
                raise InputError(
                    f"--out {str(root)!r} must be a folder that all dask workers share: {worker} "
                    "sees another one, or cannot write there"
                )

    def recall(self) -> Sequence[Job]:
        begun = {run.job.key for run in self.running()}
        names = [name for name, task in self._jobs.items() if task.job.key not in begun]
        taken = [self._jobs.pop(name) for name in names]
        self._client.cancel([task.future for task in taken])
        return [task.job for task in taken]

    def running(self) -> Sequence[Running]:
        """Jobs that a worker has claimed; others that dask has handed out wait there."""
        at_work = set(self._at_work())
        runs = []
        with suppress(OSError, TimeoutError):
            for worker, names in self._client.processing().items():
                for name in names:
                    if name in self._jobs and (job := self._jobs[name].job).key in at_work:
                        since = self._since.setdefault(name, time.monotonic())
                        runs.append(Running(worker=str(worker), job=job, since=since))
        return runs

    def close(self) -> None:
        with suppress(OSError, TimeoutError, RuntimeError):
            self._client.cancel([task.future for task in self._jobs.values()])
            self._client.close(timeout=5)
            if self._cluster is not None:
                self._cluster.close(timeout=5)


def _inode(root: str) -> int | None:
    return Path(root).stat().st_ino if os.access(root, os.W_OK) else None


def _killed_worker(error: Exception) -> bool:
    """Whether dask gave a job up since workers died that were to do it."""
    from distributed import KilledWorker

    return isinstance(error, KilledWorker)


def _work(attempt: Attempt, job: Job, threads: int) -> Outcome:
    outcome = attempt(job, threads)
    if outcome.status == "failed" and outcome.cause in RETRIES:
        raise JobFailed(outcome)
    return outcome
