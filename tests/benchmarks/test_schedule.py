"""What the scheduler costs: per job, per plan, and how far two workers are from twice one."""

import contextlib
import itertools
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.data.datasets import load
from bench.jobs.job import Job
from bench.plan.cells import all_jobs, make_plan
from bench.plan.request import Request
from bench.plugins.discovery import discover
from bench.scheduling.display import Display
from bench.scheduling.engines.local import Local
from bench.scheduling.machine import Machine, Slot
from bench.scheduling.progress import Progress
from bench.scheduling.scheduler import run
from bench.store.outcome import Outcome
from bench.store.results import Store
from bench.store.run_files import RunFiles

# seconds
JOBS = 10_000
PER_JOB = 0.002
# seconds
PLANNED = 100_000
PER_PLAN = 5.0
GROWTH = 20e6  # bytes by which this process may grow from the 2000th to the last job
SPEEDUP = 1.8
ABOUT = {
    "arch": "fc1",
    "dataset": "mnist",
    "evaluator": "pgd",
    "threat": {"norm": "linf", "eps": 0.1, "box": [0.0, 1.0]},
    "network": "0" * 24,
    "start": 0,
    "stop": 500,
    "fields": {"steps": 40},
}


def nothing(job: Job, threads: int) -> Outcome:
    return Outcome(status="done")


def burn(job: Job, threads: int) -> Outcome:
    """Small matrix products on pinned threads, some tenths of a second."""
    torch.set_num_threads(threads)
    x = torch.rand(300, 300)
    for _ in range(450):
        x = (x @ x).div_(150)
    return Outcome(status="done")


def jobs(count: int, per_network: int) -> list[Job]:
    """Networks, and so many judgings of each."""
    made: list[Job] = []
    for i in itertools.count():
        head = f"network-{i}"
        made.append(Job(kind="judge", key=head, settings=ABOUT))
        made += [
            Job(kind="judge", key=f"{head}-{k}", settings=ABOUT, after=(head,))
            for k in range(per_network)
        ]
        if len(made) >= count:
            return made[:count]
    raise AssertionError


def machine(workers: int) -> Machine:
    env = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    slots = tuple(Slot(name=f"cpu {i}", place="cpu", env=env) for i in range(workers))
    return Machine(cores=workers, slots=slots)


class Weighed(Display):
    """A display that weighs this process now and then."""

    weights: list[int]

    def ended(self, job: Job, outcome: Outcome) -> None:
        super().ended(job, outcome)
        if self.ended_jobs % 2000 == 0:
            self.weights.append(psutil.Process().memory_info().rss)


def schedule(engine: Local, plan: list[Job], folder: Path) -> list[int]:
    """Runs a plan as the command line does, the display with its status file included."""
    Store(folder).prepare()
    progress = Progress(plan, lambda job: 1.0, set())
    with (folder / "lines").open("w") as file, contextlib.redirect_stderr(file):
        display = Weighed(progress, RunFiles(folder), engine)
        display.weights = []
        with display:
            ended = run(
                plan, engine, stored=lambda job: False, seconds=lambda job: 1.0, watch=display
            )
    assert {outcome.status for outcome in ended.values()} == {"done"}
    return display.weights


@pytest.fixture
def two_workers() -> Iterator[Local]:
    engine = Local(nothing, machine(2), timeout=None)
    warm_up(engine)
    yield engine
    engine.close()


def warm_up(engine: Local) -> None:
    """Starts every worker."""
    first = [Job(kind="judge", key=str(i), settings=ABOUT) for i in range(engine.capacity)]
    for job in first:
        engine.submit(job, rank=0.0, fresh=False)
    while engine.running():
        engine.ended(1.0)


def test_overhead_of_a_job(benchmark: BenchmarkFixture, two_workers: Local, tmp_path: Path) -> None:
    plan = jobs(JOBS, per_network=99)
    started = time.perf_counter()
    weights = benchmark.pedantic(schedule, (two_workers, plan, tmp_path), rounds=1)
    assert (time.perf_counter() - started) / JOBS < PER_JOB
    assert len(weights) == JOBS // 2000
    assert weights[-1] - weights[0] < GROWTH, weights


def test_planning(benchmark: BenchmarkFixture) -> None:
    data = {"digits": load("digits")}
    catalogue = discover()
    request = Request(
        datasets=("digits",),
        methods=("plain", "at"),
        evaluators=("pgd",),
        seeds=tuple(range(PLANNED // 6 + 1)),
    )
    started = time.perf_counter()
    plan = benchmark.pedantic(lambda: all_jobs(make_plan(request, catalogue, data)), rounds=1)
    assert time.perf_counter() - started < PER_PLAN
    assert len(plan) >= PLANNED


@pytest.mark.slow
def test_two_workers_are_nearly_twice_as_fast_as_one(tmp_path: Path) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    engines = [Local(burn, machine(n), timeout=None) for n in (1, 2)]
    plan = [Job(kind="judge", key=str(i), settings=ABOUT) for i in range(30)]
    ratios = []
    try:
        for engine in engines:
            warm_up(engine)
        for _ in range(5):  # in turn, so that the machine's drift meets both
            seconds = []
            for engine in engines:
                started = time.perf_counter()
                schedule(engine, plan, tmp_path)
                seconds.append(time.perf_counter() - started)
            ratios.append(seconds[0] / seconds[1])
    finally:
        for engine in engines:
            engine.close()
    print(f"two workers: {statistics.median(ratios):.2f} times as fast as one", ratios)
    assert statistics.median(ratios) >= SPEEDUP, ratios
