"""Evaluators that are contradicted: their certificates are withdrawn, and missed work is done.

Later evaluators leave alone what earlier ones certify. Where one of these is contradicted, on
whatever input, what it had spared them is judged again, told of all evidence but its lows. What
was proven before stays proven, as no evidence rests on another's word.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from bench.jobs.cell import Cell
from bench.jobs.job import Job, JobTemplate
from bench.jobs.payloads import JudgePayload, but_for
from bench.jobs.verdict import combine, merged
from bench.store.results import Store


def contradicted(store: Store, cell: Cell) -> set[str]:
    """The evaluators of a cell whose lows are contradicted on some input."""
    if not store.has("clean", cell.clean.key):
        return set()
    clean = store.load_clean(cell.clean.key).head(cell.points)
    tables = {name: evidence_of(store, jobs) for name, jobs in cell.judges.items()}
    evidence = {name: merged(parts) for name, parts in tables.items() if parts}
    return {contradiction.low_by for contradiction in combine(clean, evidence).contradictions}


def evidence_of(store: Store, jobs: Sequence[Job]) -> list[pd.DataFrame]:
    """The tables of those jobs that have come to their end."""
    return [store.load_evidence(job.key) for job in jobs if store.has("evidence", job.key)]


def judged_again(store: Store, cell: Cell, failures: Collection[str]) -> Cell:
    """The cell with jobs for all work that others skipped because of what is withdrawn.

    The very cell where there is none. failures: keys of jobs that are not to be waited for.
    """
    contradicted_evaluators = contradicted(store, cell)
    lies = {
        job.key
        for name in contradicted_evaluators
        for job in cell.judges[name]
        if store.has("evidence", job.key) and (store.load_evidence(job.key)["low"] > 0).any()
    }
    judges = dict(cell.judges)
    for name, jobs in cell.judges.items():
        again = [
            job
            for job in latest(jobs)
            if name not in contradicted_evaluators and judging(job).believed & lies
        ]
        judges[name] = (*jobs, *(anew(job, judges, lies, failures) for job in again))
    if judges == cell.judges:
        return cell
    return dataclasses.replace(cell, judges=judges)


def latest(jobs: Sequence[Job]) -> list[Job]:
    """The last job about each shard."""
    return list({_shard(job): job for job in jobs}.values())


def judging(job: Job) -> JudgePayload:
    """What a judging job is about."""
    return JudgePayload.from_json(job.settings)


def anew(
    job: Job, judges: Mapping[str, Sequence[Job]], lies: Collection[str], failures: Collection[str]
) -> Job:
    """The job once more, told of all evidence about its inputs, and of which not to believe."""
    start, stop = _shard(job)
    known = [
        other.key
        for jobs in judges.values()
        for other in jobs
        if other.settings["start"] < stop and start < other.settings["stop"]
    ]
    told = {"known": known, "withdrawn": [key for key in known if key in lies]}
    common = but_for(judging(job), tuple(told))
    template = JobTemplate("judge", common, resource=job.resource)
    heard = tuple(key for key in known if key not in failures)
    return template.make(told, after=job.after, informed_by=heard)


def _shard(job: Job) -> tuple[int, int]:
    return job.settings["start"], job.settings["stop"]


def without(failures: Collection[str], jobs: Sequence[Job]) -> list[Job]:
    """The jobs that have not failed, none of which waits for one that has."""
    return [
        dataclasses.replace(
            job, informed_by=tuple(key for key in job.informed_by if key not in failures)
        )
        for job in jobs
        if job.key not in failures
    ]
