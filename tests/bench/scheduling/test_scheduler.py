"""The scheduler on an engine of the tests: order, failures, retries, stops."""

import errno
import os
import signal
from collections.abc import Callable, Mapping, Sequence

import pytest

from bench.jobs.job import Job
from bench.scheduling.engines.inline import Inline
from bench.scheduling.engines.interface import Engine, Running
from bench.scheduling.scheduler import run
from bench.store.outcome import Outcome, failure


def job(key: str, *after: str, informed_by: tuple[str, ...] = ()) -> Job:
    return Job(kind="judge", key=key, settings={}, after=after, informed_by=informed_by)


GRAPH = [job("a"), job("b", "a"), job("c"), job("d", "b", "c"), job("e", "c", informed_by=("b",))]


class Silent:
    """A watch that remembers."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.retries: list[str] = []

    def ended(self, job: Job, outcome: Outcome) -> None:
        self.order.append(job.key)

    def retry(self, job: Job, outcome: Outcome) -> None:
        self.retries.append(job.key)

    def tick(self, engine: Engine, *, stopping: bool) -> None:
        pass


def attempt(job: Job, threads: int) -> Outcome:
    return Outcome(status="done")


def outcomes(
    work: Callable[[Job, int], Outcome] = attempt,
    jobs: Sequence[Job] = GRAPH,
    *,
    stored: tuple[str, ...] = (),
    seconds: Mapping[str, float] | None = None,
    watch: Silent | None = None,
    engine: Engine | None = None,
) -> dict[str, Outcome]:
    return dict(
        run(
            jobs,
            engine or Inline(work, threads=1),
            stored=lambda job: job.key in stored,
            seconds=lambda job: (seconds or {}).get(job.key, 1.0),
            watch=watch or Silent(),
        )
    )


def failing(key: str, times: int, **fields: str) -> Callable[[Job, int], Outcome]:
    """An attempt that fails so many times at one job."""
    left = [times]

    def work(job: Job, threads: int) -> Outcome:
        if job.key == key and left[0]:
            left[0] -= 1
            return Outcome(status="failed", **{"cause": "raised", "message": "x", **fields})  # type: ignore[arg-type]
        return Outcome(status="done")

    return work


def test_a_failure_reaches_its_dependants_and_nothing_else() -> None:
    ended = outcomes(failing("b", 2, message="ValueError: broken"))
    assert {k: o.status for k, o in ended.items()} == {
        "a": "done",
        "b": "failed",
        "c": "done",
        "d": "skipped",
        "e": "done",
    }
    assert ended["b"].message == ended["d"].message == "ValueError: broken"


def test_what_raises_is_tried_once_more() -> None:
    watch = Silent()
    assert outcomes(failing("b", 1), watch=watch)["b"].status == "done"
    assert watch.retries == ["b"]


@pytest.mark.parametrize(
    ("cause", "times"),
    [
        ("killed", 3),
        ("raised", 1),
        ("timeout", 1),
        ("diverged", 0),
        ("out of memory", 1),
        ("bad result", 0),
        ("bad input", 0),
    ],
)
def test_each_cause_has_its_number_of_retries(cause: str, times: int) -> None:
    assert outcomes(failing("b", times, cause=cause))["b"].status == "done"
    assert outcomes(failing("b", times + 1, cause=cause))["b"].status == "failed"


def test_a_plugin_that_fails_alike_on_every_shard_costs_one_retry_only() -> None:
    def work(job: Job, threads: int) -> Outcome:
        message = f"KeyError: 'lost {job.key}'"  # its words do not count
        return Outcome(status="failed", cause="raised", message=message, fault="KeyError x.py:3")

    jobs = [Job(kind="judge", key=str(i), settings={"evaluator": "broken"}) for i in range(20)]
    watch = Silent()
    ended = outcomes(work, jobs, watch=watch)
    assert {o.status for o in ended.values()} == {"failed"}
    assert len(watch.retries) == 1


def test_faults_of_the_same_words_are_tried_again_each() -> None:
    def work(job: Job, threads: int) -> Outcome:
        fault = f"KeyError x.py:{job.key}"
        return Outcome(status="failed", cause="raised", message="KeyError", fault=fault)

    jobs = [Job(kind="judge", key=str(i), settings={"evaluator": "broken"}) for i in range(3)]
    watch = Silent()
    outcomes(work, jobs, watch=watch)
    assert watch.retries == ["0", "1", "2"]


def test_a_fault_is_a_type_and_a_place() -> None:
    found = []
    for message in ("one", "another"):
        try:
            raise KeyError(message)
        except KeyError as error:
            found.append(failure(error).fault)
    assert found[0] == found[1]
    assert found[0].startswith("builtins.KeyError")
    assert "test_scheduler.py:" in found[0]
    assert failure(KeyError()).fault == "builtins.KeyError"


def test_stored_results_are_not_computed_again() -> None:
    ended = outcomes(failing("a", 9), stored=("a",))
    assert ended["a"].status == "stored"
    assert ended["b"].status == "done"


def test_a_single_worker_finishes_what_it_has_begun() -> None:
    watch = Silent()
    jobs = [job("short"), job("long"), job("first"), job("after", "first")]
    outcomes(jobs=jobs, seconds={"short": 1, "long": 5, "first": 2, "after": 4}, watch=watch)
    assert watch.order == ["first", "after", "long", "short"]


def test_a_job_at_work_elsewhere_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.scheduling.scheduler.ELSEWHERE", 0.01)
    monkeypatch.setattr("bench.scheduling.scheduler.TICK", 0.01)
    asked = []

    def work(job: Job, threads: int) -> Outcome:
        asked.append(job.key)
        return Outcome(status="elsewhere" if len(asked) == 1 else "stored")

    assert outcomes(work, [job("a")])["a"].status == "stored"
    assert asked == ["a", "a"]


def test_a_full_disk_ends_the_run() -> None:
    def work(job: Job, threads: int) -> Outcome:
        return failure(OSError(errno.ENOSPC, "No space left on device"))

    with pytest.raises(OSError, match="No space left") as raised:
        outcomes(work)
    assert raised.value.errno == errno.ENOSPC


def test_ctrl_c_ends_an_inline_run_at_once() -> None:
    def work(job: Job, threads: int) -> Outcome:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outcomes(work)


class Slow(Inline):
    """An engine whose jobs take three looks; Ctrl-C is pressed at chosen looks."""

    patient = True
    capacity = 1

    def __init__(self, presses: tuple[int, ...]) -> None:
        super().__init__(attempt, threads=1)
        self.presses = presses
        self.looks = 0
        self.finished = 0

    def ended(self, timeout: float) -> Sequence[tuple[Job, Outcome]]:
        self.looks += 1
        if self.looks in self.presses:
            os.kill(os.getpid(), signal.SIGINT)
        if self.looks % 3:
            return ()
        self.finished += 1
        return super().ended(0)

    def running(self) -> Sequence[Running]:
        return ()


def test_the_first_ctrl_c_lets_running_jobs_end_and_starts_none() -> None:
    engine = Slow(presses=(1,))
    with pytest.raises(KeyboardInterrupt):
        outcomes(engine=engine)
    assert (engine.looks, engine.finished) == (3, 1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_ctrl_c_waits_for_nothing() -> None:
    engine = Slow(presses=(1, 2))
    with pytest.raises(KeyboardInterrupt):
        outcomes(engine=engine)
    assert (engine.looks, engine.finished) == (2, 0)


def test_ctrl_c_that_is_ignored_when_a_run_starts_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    engine = Slow(presses=(1, 2, 3))
    assert {outcome.status for outcome in outcomes(engine=engine).values()} == {"done"}
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
