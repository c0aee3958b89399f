"""Networks that are no chains against exact arithmetic: bounds, programs, all evaluators."""

import math
from typing import Any

import pytest
import torch

from bench.plugins.discovery import discover
from relu.bounds.alpha_crown import improved_margins, relaxations
from relu.bounds.linear import margin_lower_bounds, relax
from relu.network.reader import in_float64
from tests.hostile import rational
from tests.hostile.graphs import graph_case
from tests.hostile.judging import complaints, known, variants
from tests.hostile.nets import Case, with_eps
from tests.hostile.test_bounds import balls, holds, require_margins, walls

ALL = 600
EACH = 20  # networks per test, so that processes can share them out
FEW = range(0, ALL, 60)
SEEDS = range(8)
QUICK = (0, 3, 4, 5, 6, 10, 11)  # where regions are few


@pytest.fixture(scope="module")
def evaluators() -> dict[str, Any]:
    return variants()


def require_no_complaints(seeds: range, evaluators: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    reports = []
    for seed in seeds:
        case = graph_case(seed)
        if complaint := complaints(case, evaluators):
            reports.append("\n".join([f"seed {seed}:", *map(str, complaint), str(case.net)]))
    assert not reports, "\n\n".join([f"{len(reports)} networks", *reports[:5]])


@pytest.mark.parametrize("start", FEW[::5])
def test_a_few_graphs(start: int, evaluators: dict[str, Any]) -> None:
    require_no_complaints(FEW[FEW.index(start) :][:5], evaluators)


@pytest.mark.slow
@pytest.mark.hostile
@pytest.mark.parametrize("start", range(0, ALL, EACH))
def test_all_graphs(start: int, evaluators: dict[str, Any]) -> None:
    require_no_complaints(range(start, start + EACH), evaluators)


def near(case: Case) -> Case:
    """The case at half of what its first input can bear, so that bounds have something to hold."""
    radius = case.radii[0] if case.radii else None
    eps = rational.rounded(radius, case.threat.norm) / 2 if radius else 0.1
    return with_eps(case, max(eps, 1e-3))


@pytest.mark.parametrize("seed", SEEDS)
def test_margins_of_all_relaxations(seed: int) -> None:
    case = near(graph_case(seed))
    for layers, ball, box in balls(case):
        for relaxed in relaxations(layers, ball):
            require_margins(case, margin_lower_bounds(relaxed, case.y), box)
        improved = improved_margins(relax(layers, ball, "crown"), case.y, iterations=3)
        require_margins(case, improved, box)


@pytest.mark.parametrize("seed", SEEDS)
def test_bounds_of_hidden_units(seed: int) -> None:
    case = near(graph_case(seed))
    for layers, ball, box in balls(case):
        relaxed = relax(layers, ball, "crown", every=True)
        for top, (low, high) in enumerate(relaxed.bounds):
            others = len(case.layers[top].rows) - layers[top].size
            for unit in range(layers[top].size):
                for sign, bound in ((1, float(low[0, unit])), (-1, -float(high[0, unit]))):
                    row = [sign * (k == unit) for k in range(layers[top].size)] + [0] * others
                    place = case.points[0], case.threat, walls(case, 0, box)
                    assert holds(case.layers[: top + 1], row, bound, *place), (top, unit, box)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("region", {"neighbours": "unlimited", "seconds": 60.0}),
        ("mip", {"mode": "radius", "seconds": 60.0}),
    ],
    ids=["region", "mip"],
)
@pytest.mark.parametrize("seed", QUICK)
def test_exact_solvers_are_exact(seed: int, name: str, settings: dict[str, Any]) -> None:
    case = graph_case(seed)
    if not all(case.margins) or case.radii is None:
        pytest.skip("an input ties")
    evaluator = discover().evaluators[name].build(settings)
    net = in_float64(case.net).float()
    evidence = evaluator.judge(net, case.x, case.y, threat=case.threat, known=known(case))
    for radius, low in zip(case.radii, evidence.low.tolist(), strict=True):
        exact = math.inf if radius is None else rational.rounded(radius, case.threat.norm)
        assert low == pytest.approx(exact, rel=1e-5, abs=1e-7)
