"""Networks that are no chains: every evaluator against exact arithmetic, as test_fuzz.py has it."""

from typing import Any

import pytest
import torch

from tests.hostile.graphs import graph_case
from tests.hostile.judging import complaints, variants

ALL = 600
EACH = 20
FEW = range(0, ALL, 60)


@pytest.fixture(scope="module")
def evaluators() -> dict[str, Any]:
    return variants()


def require_no_complaints(seeds: range, evaluators: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    reports = []
    for seed in seeds:
        case = graph_case(seed)
        if found := complaints(case, evaluators):
            reports.append("\n".join([f"seed {seed}:", *map(str, found), str(case.net)]))
    assert not reports, "\n\n".join([f"{len(reports)} networks", *reports[:5]])


@pytest.mark.parametrize("start", FEW[::5])
def test_a_few_graphs(start: int, evaluators: dict[str, Any]) -> None:
    require_no_complaints(FEW[FEW.index(start) :][:5], evaluators)


@pytest.mark.slow
@pytest.mark.hostile
@pytest.mark.parametrize("start", range(0, ALL, EACH))
def test_all_graphs(start: int, evaluators: dict[str, Any]) -> None:
    require_no_complaints(range(start, start + EACH), evaluators)
