"""How long jobs take: measured in earlier runs, refined while one goes on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.jobs.job import Job
from bench.jobs.payloads import JobKind
from relu.threat import GIVEN

MEMORY = 0.9  # weight of what was known before, against a new measurement's 1
GUESS: Mapping[JobKind, float] = {
    "train": 10.0,
    "import": 1.0,
    "clean": 2.0,
    "judge": 0.02,
    "verify": 10.0,
}
"""Seconds per unit of work where nothing like it was ever measured."""


def units(job: Job) -> float:
    """The amount of work in a job: epochs of a training, inputs of a judging."""
    if job.kind == "train":
        return float(job.settings["training"]["epochs"])
    return float(job.settings["stop"] - job.settings["start"]) if job.kind == "judge" else 1.0


@dataclass
class Speeds:
    """Mean seconds per unit of work, by class of jobs; a class is a text.

    A job is in several classes, from its very settings to its mere kind: it is expected to take
    as long as those of the narrowest class that was ever measured.
    """

    known: dict[str, tuple[float, float]] = field(default_factory=dict)
    """class -> (seconds, units), both fading"""
    _names_of: dict[tuple[object, ...], tuple[tuple[str, ...], object]] = field(
        default_factory=dict, repr=False
    )

    def seconds(self, job: Job, where: str) -> float:
        """The expected seconds of a job on a machine or card that is called `where`."""
        for name in self._names(job, where):
            if name in self.known:
                seconds, amount = self.known[name]
                return seconds / amount * units(job)
        return GUESS[job.kind] * units(job)

    def measured(self, job: Job, where: str) -> bool:
        """Whether anything of this kind was ever measured there."""
        return any(name in self.known for name in self._names(job, where))

    def learn(self, job: Job, where: str, seconds: float) -> None:
        """Takes the measured seconds of a finished job into account."""
        for name in self._names(job, where):
            before, amount = self.known.get(name, (0.0, 0.0))
            self.known[name] = (before * MEMORY + seconds, amount * MEMORY + units(job))

    def _names(self, job: Job, where: str) -> Sequence[str]:
        s = job.settings
        large = (s.get("fields"), s.get("threat"))  # shared by jobs: kept, so that ids stay theirs
        key = (
            job.kind,
            where,
            s.get("dataset"),
            s.get("arch"),
            s.get("method"),
            s.get("evaluator"),
            *map(id, large),
        )
        if key not in self._names_of:
            self._names_of[key] = tuple(_classes(job, where)), large
        return self._names_of[key][0]


def _classes(job: Job, where: str) -> Iterator[str]:
    """From narrow to wide; on the CPU with the same number of threads, then with any ("cpu*2")."""
    s = job.settings
    task = [
        job.kind,
        s.get("method") or s.get("evaluator") or "",
        s.get("dataset", ""),
        s.get("arch", ""),
    ]
    threat = s.get("threat")
    if threat is not None and isinstance(threat["eps"], list):
        threat = {**threat, "eps": GIVEN}
    details = json.dumps({"fields": s.get("fields"), "threat": threat}, sort_keys=True)
    for words in ([*task, details], task, task[:2], task[:1]):
        for place in dict.fromkeys((where, where.partition("*")[0])):
            yield " ".join([place, *words])
