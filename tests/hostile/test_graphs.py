"""Networks that are no chains against exact arithmetic: bounds, programs, all evaluators."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from bench.plugins.discovery import discover
from relu.bounds.alpha_crown import improved_margins, relaxations
from relu.bounds.ball import ball_of
from relu.bounds.linear import margin_lower_bounds, relax
from relu.classes import gaps
from relu.network.reader import in_float64, read_layers
from relu.threat import Threat
from tests.hostile import rational
from tests.hostile.graphs import graph_case
from tests.hostile.judging import known, require_no_complaints, variants
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


@pytest.mark.parametrize("start", FEW[::5])
def test_a_few_graphs(start: int, evaluators: dict[str, Any]) -> None:
    require_no_complaints(map(graph_case, FEW[FEW.index(start) :][:5]), evaluators)


@pytest.mark.slow
@pytest.mark.hostile
@pytest.mark.parametrize("start", range(0, ALL, EACH))
def test_all_graphs(start: int, evaluators: dict[str, Any]) -> None:
    require_no_complaints(map(graph_case, range(start, start + EACH)), evaluators)


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


@pytest.mark.parametrize("every", [True, False])  # in full, or by intervals where these decide
@pytest.mark.parametrize("seed", SEEDS)
def test_bounds_of_hidden_units(seed: int, every: bool) -> None:
    case = near(graph_case(seed))
    for layers, ball, box in balls(case):
        relaxed = relax(layers, ball, "crown", every=every)
        for top, (low, high) in enumerate(relaxed.bounds):
            others = len(case.layers[top].rows) - layers[top].size
            for unit in range(layers[top].size):
                for sign, bound in ((1, float(low[0, unit])), (-1, -float(high[0, unit]))):
                    row = [sign * (k == unit) for k in range(layers[top].size)] + [0] * others
                    place = case.points[0], case.threat, walls(case, 0, box)
                    assert holds(case.layers[: top + 1], row, bound, *place), (top, unit, box)


@pytest.mark.parametrize("leak", [0.25, 0.75])
def test_slopes_that_ascent_chooses_do_not_fall_below_the_leak(leak: float) -> None:
    """Where they did, a line would lie above its unit: seen at corners and random points."""
    torch.manual_seed(0)
    for _ in range(10):
        hidden = [nn.Linear(4, 8), nn.LeakyReLU(leak), nn.Linear(8, 8), nn.LeakyReLU(leak)]
        net = nn.Sequential(*hidden, nn.Linear(8, 3)).double().requires_grad_(False)
        x = torch.rand(5, 4, dtype=torch.float64)
        y = torch.randint(3, (5,))
        ball = ball_of(x, Threat(norm="linf", eps=2.0), box=False)
        improved = improved_margins(relax(read_layers(net, (4,)), ball, "kw"), y, iterations=30)
        moves = 2 * torch.rand(4000, 1, 4, dtype=torch.float64) - 1
        moves[::2] = moves[::2].sign()
        margins = gaps(net(x + 2.0 * moves).flatten(0, 1), y.repeat(len(moves)))
        assert bool((improved <= margins.view(len(moves), 5, 2).amin(0)).all())


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


BORDERS = tuple(
    (seed, i)
    for seed in range(24)
    for i, radius in enumerate(graph_case(seed).radii or ())
    if radius and graph_case(seed).margins[i] > 0
)


@pytest.mark.parametrize(("seed", "i"), BORDERS)
def test_branch_and_bound_decides_beside_the_radius(seed: int, i: int) -> None:
    case = graph_case(seed)
    assert case.radii is not None
    exact = case.radii[i]
    assert exact is not None
    radius = rational.rounded(exact, case.threat.norm)
    evaluator = discover().evaluators["bab"].build({"seconds": 120.0})
    net = in_float64(case.net).float()
    row = slice(i, i + 1)
    for share in (0.97, 1.03):
        threat = Threat(norm=case.threat.norm, eps=share * radius, box=case.threat.box)
        evidence = evaluator.judge(
            net, case.x[row], case.y[row], threat=threat, known=known(case).part(row)
        )
        assert bool(evidence.low >= threat.eps) == (share < 1), evidence.outcome
        assert bool(evidence.witness.isnan().any()) == (share < 1), evidence.outcome
