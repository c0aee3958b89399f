"""How a run stands: jobs by kind and state, what each worker does, how long it will take."""

import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.jobs.job import Job
from bench.scheduling.engines.interface import Engine
from bench.store.outcome import Outcome
from relu.threat import Threat

STATES = ("done", "running", "waiting", "failed")
ALIVE = 20.0  # seconds after its last word in which a run counts as alive
FAILURES = 5  # of the latest are told
EXPECTING = 0.02  # share of the time that may go into adding up what is left


def kind_of(job: Job) -> str:
    """What a job counts as: its evaluator's name, or train, import, clean."""
    return str(job.settings.get("evaluator", job.kind))


class Progress:
    """Counts a run's jobs as they end.

    seconds: how long a job is expected to take; there: keys of results that exist already.
    """

    def __init__(
        self, jobs: Sequence[Job], seconds: Callable[[Job], float], there: set[str]
    ) -> None:
        self.total = Counter(kind_of(job) for job in jobs)
        self.ended: dict[str, Counter[str]] = {kind: Counter() for kind in self.total}
        self.open = {job.key: job for job in jobs}
        self.failures: deque[str] = deque(maxlen=FAILURES)
        self.started = time.time()
        self._seconds = seconds
        self._there = there
        self._left = 0.0
        self._added = float("-inf")
        self._adding = 0.0

    def end(self, job: Job, outcome: Outcome) -> None:
        """A job has its final outcome."""
        bad = outcome.status in ("failed", "skipped")
        self.ended[kind_of(job)]["failed" if bad else "done"] += 1
        self.open.pop(job.key, None)
        if outcome.status == "failed":
            self.failures.append(f"{describe(job)}: {outcome.message}")

    def left(self, engine: Engine) -> float:
        """Expected seconds until the end, if all workers stay busy."""
        now = time.monotonic()
        if now - self._added > max(1.0, self._adding / EXPECTING):
            self._left = sum(
                self._seconds(job) for job in self.open.values() if job.key not in self._there
            )
            self._added = time.monotonic()
            self._adding = self._added - now
        gone = sum(
            min(time.monotonic() - run.since, self._seconds(run.job)) for run in engine.running()
        )
        return max(0.0, self._left - gone) / max(1, min(engine.capacity, len(self.open)))

    def record(
        self, engine: Engine, progress: Callable[[str], str], *, state: str
    ) -> dict[str, Any]:
        """All of it as plain JSON; state: "running", "stopping", or how the run ended."""
        running = list(engine.running()) if state in ("running", "stopping") else []
        at_work = Counter(kind_of(run.job) for run in running)
        counts = {}
        for kind, total in self.total.items():
            ended = self.ended[kind]
            waiting = max(0, total - sum(ended.values()) - at_work[kind])
            counts[kind] = dict(
                zip(STATES, (ended["done"], at_work[kind], waiting, ended["failed"]), strict=True)
            )
        return {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "state": state,
            "started": self.started,
            "updated": time.time(),
            "left": self.left(engine) if running else None,
            "counts": counts,
            "running": self.running(engine, progress) if running else [],
            "failures": list(self.failures),
        }

    def running(self, engine: Engine, progress: Callable[[str], str]) -> list[dict[str, Any]]:
        """What each busy worker does, for how long, and how far it is."""
        return [
            {
                "worker": run.worker,
                "job": describe(run.job),
                "seconds": time.monotonic() - run.since,
                "progress": progress(run.job.key),
            }
            for run in engine.running()
        ]


def lines(record: Mapping[str, Any]) -> list[str]:
    """A record of a run for people."""
    counts = record["counts"]
    width = max([5, *map(len, counts)])
    text = [" " * width + "".join(f"{state:>9}" for state in STATES)]
    text += [
        f"{kind:<{width}}" + "".join(f"{row[state]:>9}" for state in STATES)
        for kind, row in counts.items()
    ]
    for run in record["running"]:
        text.append(
            f"{run['worker']}  {run['job']}  {clock(run['seconds'])}  {run['progress']}".rstrip()
        )
    text += [f"failed: {failure}" for failure in record["failures"]]
    total = sum(sum(row.values()) for row in counts.values())
    ended = sum(row["done"] + row["failed"] for row in counts.values())
    until = record["updated"] - record["started"]
    left = "" if record["left"] is None else f", about {clock(record['left'])} left"
    text.append(f"{ended} of {total} jobs after {clock(until)}{left}")
    return text


def clock(seconds: float) -> str:
    """h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def describe(job: Job) -> str:
    """A job in a few words."""
    s = job.settings
    if job.kind == "train":
        what = f"{s['arch']}, seed {s['seed']}, network {job.key[:6]}"
        return f"train {s['method']} on {s['dataset']} ({what})"
    if job.kind == "import":
        return f"import {job.path}"
    if job.kind == "verify":
        return f"verify {s['onnx']} {s['vnnlib']}"
    network = f"{s['arch']}, network {s['network'][:6]}"
    if job.kind == "clean":
        part = "held-out part" if "held_out" in s else "test set"
        return f"predict the {part} of {s['dataset']} ({network})"
    threat = Threat.from_json(s["threat"])
    return f"{s['evaluator']} on {s['dataset']} {s['start']}-{s['stop']} ({threat}, {network})"
