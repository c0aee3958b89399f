"""A row of the leaderboard before it is computed: the jobs that fill it."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.jobs.job import Job
from bench.store.run_record import CellRecord
from relu.threat import Norm, Radii


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One network under one threat, a row of the leaderboard, and the jobs that fill it.

    settings: everything that was chosen, by dotted name ("steps", "train.lr", "pgd.restarts").
    group: what cells share that differ in nothing but their seed. judges: evaluator -> shards.
    refusals: evaluator -> why the cell is outside its theory. published: tables of a paper.
    trained: what the network was trained against, as JSON, None where that is nothing. union: norm
    -> eps of all that it is judged under together; {}: under this threat alone.
    """

    dataset: str
    arch: str
    norm: Norm
    eps: Radii
    box: str
    method: str
    label: str
    settings: Mapping[str, Any]
    group: str
    seed: int | None
    points: int
    network: Job
    clean: Job
    judges: Mapping[str, tuple[Job, ...]]
    evaluator_labels: Mapping[str, str]
    refusals: Mapping[str, str]
    cascade: bool = True
    published: tuple[str, ...] = ()
    trained: Mapping[str, Any] | None = None
    union: Mapping[Norm, float] = field(default_factory=dict)

    def jobs(self) -> Iterator[Job]:
        """Each after the jobs it reads from."""
        yield from (self.network, self.clean, *itertools.chain(*self.judges.values()))

    def record(self) -> CellRecord:
        """The cell as it is kept: jobs as keys, and what their keys know of data and code."""
        network = self.network.settings
        clean = self.clean.settings
        code = {"network": network["code"], "clean": clean["code"]}
        return CellRecord(
            dataset=self.dataset,
            arch=self.arch,
            norm=self.norm,
            eps=self.eps,
            box=self.box,
            method=self.method,
            label=self.label,
            settings=self.settings,
            group=self.group,
            seed=self.seed,
            points=self.points,
            network=self.network.key,
            clean=self.clean.key,
            evaluator_labels=self.evaluator_labels,
            refusals=self.refusals,
            cascade=self.cascade,
            published=self.published,
            trained=self.trained,
            union=self.union,
            evidence={name: tuple(job.key for job in jobs) for name, jobs in self.judges.items()},
            data={"train": network.get("data"), "test": clean["data"]},
            code=code | {name: jobs[0].settings["code"] for name, jobs in self.judges.items()},
        )
