"""Hostile networks against exact arithmetic: no evaluator errs, and none is refused in error.

A failure names its seed; `case_of(seed).script()` is what it prints, a file of its own.
"""

from typing import Any

import pytest
import torch

from tests.hostile.judging import require_no_complaints, variants
from tests.hostile.nets import case_of

ALL = 5000
EACH = 50  # networks per test, so that processes can share them out
SAMPLE = range(0, ALL, 16)
FEW = range(0, ALL, 250)
FOUND = [564]  # least distances whose multipliers were divided by 0, with a warning


@pytest.fixture(scope="module")
def evaluators() -> dict[str, Any]:
    """Every evaluator that discovery finds."""
    return variants()


def test_a_case_is_its_seeds() -> None:
    one = case_of(7)
    other = case_of(7)
    assert one.script() == other.script()
    assert one.script() != case_of(8).script()


def test_a_script_builds_the_very_case() -> None:
    for seed in (3, 4, 5):
        case = case_of(seed)
        names = dict[str, Any]()
        exec(case.script(), names)
        for name, value in case.net.state_dict().items():
            assert torch.equal(names["net"].state_dict()[name], value)
        assert torch.equal(names["x"], case.x)
        assert names["threat"] == case.threat


@pytest.mark.parametrize("start", FEW[::5])
def test_a_few_hostile_networks(start: int, evaluators: dict[str, Any]) -> None:
    require_no_complaints(map(case_of, FEW[FEW.index(start) :][:5]), evaluators)


@pytest.mark.parametrize("seed", FOUND)
def test_what_was_found_stays_mended(seed: int, evaluators: dict[str, Any]) -> None:
    require_no_complaints([case_of(seed)], evaluators)


@pytest.mark.slow
@pytest.mark.parametrize("start", SAMPLE[::EACH])
def test_a_sample_of_hostile_networks(start: int, evaluators: dict[str, Any]) -> None:
    require_no_complaints(map(case_of, SAMPLE[SAMPLE.index(start) :][:EACH]), evaluators)


@pytest.mark.slow
@pytest.mark.hostile
@pytest.mark.parametrize("start", range(0, ALL, EACH))
def test_all_hostile_networks(start: int, evaluators: dict[str, Any]) -> None:
    require_no_complaints(map(case_of, range(start, start + EACH)), evaluators)
