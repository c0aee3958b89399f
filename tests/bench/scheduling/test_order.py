"""The order of jobs on simulated workers: rows early, and all done as soon as by ranks alone."""

import heapq
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from bench.jobs.job import Job
from bench.scheduling.order import Order

Plan = list[tuple[Job, float]]  # jobs, and the seconds that they take
SEEDS = range(6)
NETWORKS = (2, 3, 5, 10, 30)


@dataclass(frozen=True)
class Case:
    """spread: of trainings' seconds, as a lognormal's sigma. shards: their number, mean seconds."""

    spread: float
    shards: tuple[tuple[int, float], ...]


CASES = {
    "trainings": Case(0.5, ((2, 0.5), (2, 0.5), (2, 1.0), (5, 1.0))),
    "shards": Case(0.5, ((2, 0.5), (2, 0.5), (2, 2.0), (20, 10.0))),
    "chains": Case(0.5, ((1, 5.0), (1, 5.0), (1, 10.0), (1, 20.0))),
    "both": Case(1.2, ((2, 1.0), (4, 2.0), (10, 3.0))),
}


def job(key: str, *after: str, informed_by: Sequence[str] = ()) -> Job:
    return Job(kind="judge", key=key, settings={}, after=after, informed_by=tuple(informed_by))


def make_plan(case: Case, rng: random.Random) -> Plan:
    """Jobs of several networks; a shard waits for the earlier ones about its part."""
    plan: Plan = []
    for network in range(rng.choice(NETWORKS)):
        head = f"network {network}"
        plan.append((job(head), rng.lognormvariate(3.0, case.spread)))
        plan.append((job(f"{head} clean", head), 1.0))
        known: list[tuple[str, float, float]] = []
        for evaluator, (count, seconds) in enumerate(case.shards):
            part = [(f"{head} {evaluator} {i}", i / count, (i + 1) / count) for i in range(count)]
            for key, start, stop in part:
                heard = [k for k, first, last in known if first < stop and last > start]
                shard = job(key, head, f"{head} clean", informed_by=heard)
                plan.append((shard, seconds * rng.lognormvariate(0.0, 0.7)))
            known += part
    return plan


def followers(jobs: Sequence[Job]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {job.key: [] for job in jobs}
    for job in jobs:
        for key in {*job.after, *job.informed_by}:
            found[key].append(job.key)
    return found


class ByRank(Order):
    """The longest chain first, whatever is begun."""

    def next(self, place: str, workers: int) -> str | None:
        ready = self.ready[place]
        return ready.top(ready.heaps[0])


def finished(
    order: Order, took: Mapping[str, float], expected: Mapping[str, float], workers: int
) -> list[float]:
    """When each network's last job ends, in ascending order."""
    ended: set[str] = set()
    order.rank(lambda job: expected[job.key], ended)
    missing = {job.key: len({*job.after, *job.informed_by}) for job in order.jobs.values()}
    left: dict[str, int] = {}
    for root in order.root.values():
        left[root] = left.get(root, 0) + 1
    for first in [key for key, count in missing.items() if count == 0]:
        order.add(first, "cpu")
    now = 0.0
    rows = []
    running = list[tuple[float, str]]()
    while len(ended) < len(took):
        while len(running) < workers and (key := order.next("cpu", workers)) is not None:
            order.begin(key, "cpu")
            heapq.heappush(running, (now + took[key], key))
        now, key = heapq.heappop(running)
        ended.add(key)
        order.end(key)
        left[order.root[key]] -= 1
        if left[order.root[key]] == 0:
            rows.append(now)
        for follower in order.followers[key]:
            missing[follower] -= 1
            if missing[follower] == 0:
                order.add(follower, "cpu")
    return rows


@pytest.mark.parametrize("workers", [1, 2, 8, 32])
@pytest.mark.parametrize("name", CASES)
def test_rows_come_early_and_the_last_no_later(name: str, workers: int) -> None:
    """Beside the order by ranks alone, with expectations that are half off."""
    later = []
    first = []
    middle = []
    for seed in SEEDS:
        rng = random.Random(seed)
        plan = make_plan(CASES[name], rng)
        jobs = [job for job, _ in plan]
        took = {job.key: seconds for job, seconds in plan}
        for error in (0.0, 0.5):
            expected = {key: s * rng.lognormvariate(0.0, error) for key, s in took.items()}
            ends = [
                finished(kind(jobs, followers(jobs)), took, expected, workers)
                for kind in (Order, ByRank)
            ]
            later.append(ends[0][-1] / ends[1][-1])
            first.append(ends[0][0] / ends[1][0])
            middle.append(statistics.median(ends[0]) / statistics.median(ends[1]))
    assert statistics.mean(later) < 1.02
    assert max(later) < 1.1
    assert statistics.mean(middle) < 1.05
    assert statistics.mean(first) < (0.85 if workers <= 2 else 1.05)


def made(plan: Plan) -> Order:
    jobs = [job for job, _ in plan]
    took = {job.key: seconds for job, seconds in plan}
    order = Order(jobs, followers(jobs))
    order.rank(lambda job: took[job.key], set())
    return order


def drawn(plan: Plan, workers: int = 2) -> list[str]:
    """The order in which one worker at a time takes jobs, as if there were `workers`."""
    order = made(plan)
    missing = {job.key: len({*job.after, *job.informed_by}) for job, _ in plan}
    for first in [key for key, count in missing.items() if count == 0]:
        order.add(first, "cpu")
    taken: list[str] = []
    while (key := order.next("cpu", workers)) is not None:
        order.begin(key, "cpu")
        order.end(key)
        taken.append(key)
        for follower in order.followers[key]:
            missing[follower] -= 1
            if missing[follower] == 0:
                order.add(follower, "cpu")
    return taken


def networks(count: int, training: float, judging: float) -> Plan:
    plan: Plan = []
    for i in range(count):
        plan += [(job(f"t{i}"), training), (job(f"j{i}", f"t{i}"), judging)]
    return plan


def test_a_network_is_judged_before_the_next_is_trained() -> None:
    taken = drawn(networks(6, 10.0, 2.0))
    assert taken[:4] == ["t0", "j0", "t1", "j1"]


def test_the_longest_chain_goes_first_where_it_decides() -> None:
    plan = [*networks(4, 10.0, 2.0), (job("long"), 100.0)]
    assert drawn(plan)[0] == "long"


def test_the_last_network_is_trained_while_others_keep_the_workers_busy() -> None:
    """One training of 10 s, then nothing but shards: those of the first network must wait."""
    plan = [(job("a"), 1.0), *((job(f"a{i}", "a"), 5.0) for i in range(8))]
    plan += [(job("b"), 11.0), *((job(f"b{i}", "b"), 2.0) for i in range(30))]
    assert drawn(plan, workers=4).index("b") <= 2


def test_a_job_that_is_tried_again_keeps_its_place() -> None:
    order = made(networks(2, 1.0, 1.0))
    order.add("t0", "cpu")
    order.begin("t0", "cpu")
    assert order.next("cpu", 1) is None
    order.add("t0", "cpu")
    assert order.next("cpu", 1) == "t0"
    order.begin("t0", "cpu")
    assert order.next("cpu", 1) is None
