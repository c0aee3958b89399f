import errno

import pytest

from bench.job import Job
from bench.schedule import Outcome, run


def job(key: str, *after: str, informed_by: tuple[str, ...] = ()) -> Job:
    return Job(kind="judge", key=key, settings={}, after=after, informed_by=informed_by)


GRAPH = [job("a"), job("b", "a"), job("c"), job("d", "b", "c"), job("e", "c", informed_by=("b",))]


def statuses(failing: dict[str, Exception], stored: tuple[str, ...] = ()) -> dict[str, Outcome]:
    def execute(job: Job) -> None:
        if job.key in failing:
            raise failing[job.key]

    return dict(run(GRAPH, execute, stored=lambda job: job.key in stored, report=lambda *_: None))


def test_a_failure_reaches_its_dependants_and_nothing_else() -> None:
    outcomes = statuses({"b": ValueError("broken\nmore")})
    assert {k: o.status for k, o in outcomes.items()} == {
        "a": "done", "b": "failed", "c": "done", "d": "skipped", "e": "done",
    }  # fmt: skip
    assert outcomes["b"].message == outcomes["d"].message == "ValueError: broken"
    assert "Traceback" in outcomes["b"].details


def test_stored_results_are_not_computed_again() -> None:
    outcomes = statuses({"a": ValueError("never called")}, stored=("a",))
    assert outcomes["a"].status == "stored"
    assert outcomes["b"].status == "done"


@pytest.mark.parametrize("fatal", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_full_disk_and_ctrl_c_end_the_run(fatal: BaseException) -> None:
    with pytest.raises(type(fatal)):
        statuses({"c": fatal})  # type: ignore[dict-item]
