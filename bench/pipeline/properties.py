"""From properties to verdicts: of one, or of a list, as jobs, its results as in VNN-COMP."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.jobs.job import Job
from bench.jobs.verification import Answer
from bench.jobs.verifier import Verifier
from bench.plan.verifications import verification_jobs
from bench.plugins.catalogue import Plugin
from bench.scheduling.launch import Launcher
from bench.scheduling.run_options import RunOptions
from bench.store.outcome import Outcome
from bench.store.results import Store
from bench.store.run_files import RunFiles
from relu.network.property.vnnlib.instances import Instance
from relu.network.property.vnnlib.results import results_text

RESULTS = "results.csv"
VNN_COMP = {"timed-out": "timeout"}  # whose results files have another word for it


@dataclass(frozen=True)
class Asked:
    """Evaluators, and the settings of theirs that are not as usual."""

    evaluators: Sequence[Plugin]
    settings: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What came of an instance, in VNN-COMP's words, and what is to be said about it."""

    instance: Instance
    result: str
    notes: Sequence[str]


def decide(
    query: Path, network: Path, asked: Asked, *, name: str | None, seconds: float
) -> tuple[Answer, float]:
    """The answer about one property, and its seconds; name: of the network. Raises InputError."""
    verifier = Verifier(asked.evaluators, asked.settings)
    return verifier.ask(query, network, name=name, seconds=seconds)


def decide_list(
    instances: Sequence[Instance], asked: Asked, options: RunOptions, *, most: float
) -> list[Decided]:
    """Decides the instances of a list, each in at most so many seconds, as `options` say.

    What an earlier run decided, in the same time, with the same code, is not decided again. The run
    folder has the results so far at any time.
    """
    jobs = verification_jobs(instances, asked.evaluators, asked.settings, most)
    unique = {job.key: job for job in jobs if isinstance(job, Job)}
    launcher = Launcher(options, list(unique.values()))
    results = _Results(instances, jobs, launcher.store)
    if unique:
        launcher.run(functools.partial(_begin, launcher), ended=results.ended)
    else:
        _begin(launcher)
    results.save()
    return list(results.decided())


def _begin(launcher: Launcher) -> None:
    launcher.store.prepare()
    launcher.files.require_locks()


class _Results:
    """What is known of each instance, and the files that say it."""

    def __init__(
        self,
        instances: Sequence[Instance],
        jobs: Sequence[Job | str],
        store: Store,
    ) -> None:
        self.category = instances[0].folder.resolve().name
        self.instances = instances
        self.jobs = jobs
        self.store = store
        self.files = RunFiles(store.root)
        self.failures: dict[str, str] = {}
        self.verdicts: dict[str, tuple[dict[str, Any], float]] = {}

    def ended(self, job: Job, outcome: Outcome) -> None:
        """A job has ended: its counterexample, and all results so far, are saved."""
        if outcome.status in ("failed", "skipped"):
            self.failures[job.key] = outcome.message
        else:
            said = self.store.load_verdict(job.key)
            seconds = self.store.settings("verdicts", job.key)["seconds"]
            self.verdicts[job.key] = said, seconds
            self._save_counterexample(job, said["counterexample"])
        self.save()

    def _save_counterexample(self, job: Job, text: str) -> None:
        names = [
            instance.name
            for instance, one in zip(self.instances, self.jobs, strict=True)
            if isinstance(one, Job) and one.key == job.key
        ]
        for name in names if text else ():
            self.files.save_text(f"{name}.counterexample", text)

    def save(self) -> None:
        """Writes the results so far."""
        rows = []
        for instance, job in zip(self.instances, self.jobs, strict=True):
            result, seconds = self._result(job)
            if result:
                about = [self.category, instance.network, instance.query]
                rows.append([*about, "0", result, f"{seconds:.3f}"])
        self.files.save_text(RESULTS, results_text(rows))

    def decided(self) -> Iterator[Decided]:
        """What came of each instance."""
        for instance, job in zip(self.instances, self.jobs, strict=True):
            yield Decided(instance=instance, result=self._result(job)[0], notes=self._notes(job))

    def _result(self, job: Job | str) -> tuple[str, float]:
        """In VNN-COMP's words, and its seconds; "" where it is not known yet."""
        if isinstance(job, str) or job.key in self.failures:
            return "error", 0.0
        if job.key not in self.verdicts:
            return "", 0.0
        said, seconds = self.verdicts[job.key]
        return VNN_COMP.get(said["verdict"], said["verdict"]), seconds

    def _notes(self, job: Job | str) -> list[str]:
        if isinstance(job, str):
            return [job]
        if job.key in self.failures:
            return [self.failures[job.key]]
        said, seconds = self.verdicts[job.key]
        decided = f"decided by {said['by']}" if said["by"] else "not decided"
        return [*said["notes"], f"{decided} in {seconds:.2f} s"]
