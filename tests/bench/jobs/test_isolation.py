"""One input's exception costs one input, whatever an evaluator raises."""

from collections.abc import Callable

import pytest
import torch

from bench.jobs.isolation import HOPELESS, Isolation
from bench.jobs.verdict import joined
from evaluators.interface import Evidence

N = 20


def judging(broken: set[int], error: Exception) -> Callable[[int, int], Evidence]:
    """Certifies input i at i + 1, and raises on parts that hold a broken one."""

    def judge(start: int, stop: int) -> Evidence:
        if broken.intersection(range(start, stop)):
            raise error
        low = torch.arange(start, stop).double() + 1
        nothing = torch.full((stop - start, 2), torch.nan)
        return Evidence(low=low, witness=nothing, outcome=["done"] * (stop - start))

    return judge


@pytest.mark.parametrize(
    "error",
    [IndexError("layer 3"), ValueError(), KeyError("x"), RuntimeError("a\nb"), StopIteration()],
    ids=repr,
)
@pytest.mark.parametrize("broken", [[0], [7], [3, 4, 19], list(range(1, 7))], ids=str)
def test_the_others_of_a_shard_keep_theirs(broken: list[int], error: Exception) -> None:
    isolation = Isolation(judging(set(broken), error), torch.zeros(N, 2))
    found = joined(isolation.judge(0, N))
    isolation.require_some()
    expected = [0.0 if i in broken else i + 1.0 for i in range(N)]
    assert found.low.tolist() == expected
    assert [i for i, status in enumerate(found.statuses) if status == "failed"] == broken
    lost = {found.outcome[i] for i in broken}
    (outcome,) = lost
    assert outcome.startswith(f"failed: {type(error).__name__}: ")
    assert "\n" not in outcome


def test_an_evaluator_that_always_raises_is_given_up_soon() -> None:
    asked = []

    def judge(start: int, stop: int) -> Evidence:
        asked.append((start, stop))
        raise IndexError("always")

    isolation = Isolation(judge, torch.zeros(500, 2))
    with pytest.raises(IndexError, match="always"):
        isolation.judge(0, 500)
    assert len(asked) < 4 * HOPELESS


def test_a_shard_of_one_broken_input_fails() -> None:
    isolation = Isolation(judging({0}, IndexError("alone")), torch.zeros(1, 2))
    isolation.judge(0, 1)
    with pytest.raises(IndexError, match="alone"):
        isolation.require_some()


@pytest.mark.parametrize("error", [MemoryError("too much"), OSError(28, "No space left")])
def test_what_is_no_inputs_own_fault_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        Isolation(judging({7}, error), torch.zeros(N, 2)).judge(0, N)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_ends_the_job(interrupt: type[BaseException]) -> None:
    def judge(start: int, stop: int) -> Evidence:
        raise interrupt

    with pytest.raises(interrupt):
        Isolation(judge, torch.zeros(N, 2)).judge(0, N)
