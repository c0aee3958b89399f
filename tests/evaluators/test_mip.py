"""Exact answers: the oracle's, in both modes, by both solvers; honest where there is none."""

import math
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, ClassVar, Literal

import highspy
import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor, nn

from bench.data.datasets import DataSet
from bench.jobs.verdict import Replay, replay
from evaluators import _gurobi, _highs, _milp_problem, _one_input
from evaluators._gurobi import Gurobi
from evaluators._highs import Highs
from evaluators._milp_search import ask
from evaluators._solver import Answer, SolverError, TooLarge, WithinLicence
from evaluators.interface import EXACT, Interval
from evaluators.mip import Mip
from relu.classes import margins
from relu.errors import InputError
from relu.milp import encoding
from relu.milp.program import Program
from relu.network.reader import in_float64, read_layers
from relu.threat import Norm, Threat
from tests.oracles import Layer, exact_radius

HOW: tuple[Literal["none", "lp"], ...] = ("none", "lp")
SOLVERS = [
    ("linf", "highs"),
    ("l1", "highs"),
    ("linf", "gurobi"),
    ("l1", "gurobi"),
    ("l2", "gurobi"),
]


def tiny(seed: int) -> tuple[nn.Sequential, Tensor, Tensor, list[Layer]]:
    """A net of up to three hidden layers, one input, and the net for the oracle."""
    torch.manual_seed(seed)
    hidden = torch.randint(2, 5, (1 + seed % 3,)).tolist()
    widths = [1 + seed % 4, *hidden, 2 + seed % 2]
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        layers[-2].get_parameter("weight").data *= 2
    net = nn.Sequential(*layers[:-1]).requires_grad_(False)
    x = torch.rand(1, widths[0])
    parts = [p.double().numpy() for p in net.parameters()]
    return net, x, net(x).argmax(1), list(zip(parts[::2], parts[1::2], strict=True))


def unknown(n: int) -> Interval:
    return Interval(
        low=torch.zeros(n).double(), high=torch.full((n,), torch.inf, dtype=torch.float64)
    )


def judged(
    evaluator: Mip,
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    known: Interval | None = None,
) -> Replay:
    evidence = evaluator.judge(net, x, y, threat=threat, known=known or unknown(len(x)))
    return replay(in_float64(net), x, y, evidence, threat=threat)


def check_against_the_oracle(norm: Norm, solver: Any, nets: range) -> None:
    clear = 0
    for seed in nets:
        net, x, y, layers = tiny(seed)
        point = x[0].double().numpy()
        exact, beyond = (
            exact_radius(layers, point, int(y), norm, lead=lead) for lead in (0.0, 1e-6)
        )
        found = judged(Mip(mode="radius", solver=solver), net, x, y, Threat(norm=norm, eps=0.1))
        low = float(found.low)
        high = float(found.high)
        assert low <= exact + 1e-9, (seed, found)
        assert exact <= high + 1e-9 or math.isinf(exact), (seed, found)
        if not (exact == beyond or beyond - exact < 1e-4):
            continue  # rivals hardly more than tie: nobody finds such points
        clear += 1
        assert low == high or high - low < 1e-5, (seed, exact, found)
        if not math.isfinite(exact):
            continue
        for eps in (0.999 * exact, 1.001 * exact):
            found = judged(Mip(solver=solver), net, x, y, Threat(norm=norm, eps=eps))
            if eps < exact:
                assert (float(found.low), found.outcome) == (eps, ["done: certified"]), seed
            else:
                assert float(found.high) <= eps, seed
                assert found.outcome == ["done: adversarial"], seed
    assert clear >= 0.98 * len(nets)


@pytest.mark.parametrize(("norm", "solver"), SOLVERS)
def test_both_modes_agree_with_the_oracle(norm: Norm, solver: str) -> None:
    check_against_the_oracle(norm, solver, range(25))


@pytest.mark.slow
@pytest.mark.parametrize(("norm", "solver"), SOLVERS)
def test_both_modes_agree_with_the_oracle_on_three_hundred_nets(norm: Norm, solver: str) -> None:
    check_against_the_oracle(norm, solver, range(100, 400))


@pytest.mark.parametrize(
    ("norm", "radius"), [("linf", 0.8 / 6), ("l2", 0.8 / 20**0.5), ("l1", 0.2)]
)
def test_a_linear_network_has_its_closed_form(norm: Norm, radius: float) -> None:
    # f = (2 x1 + 4 x2 - 1, 1.2) at x = (1/2, 1/2): the gap is 0.8, its normal (2, 4)
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2)).requires_grad_(False)
    net.get_parameter("1.weight").copy_(torch.tensor([[2.0, 4.0], [0.0, 0.0]]))
    net.get_parameter("1.bias").copy_(torch.tensor([-1.0, 1.2]))
    x = torch.full((1, 2), 0.5)
    y = torch.tensor([0])
    found = judged(Mip(mode="radius"), net, x, y, Threat(norm=norm, eps=0.05))
    assert found.outcome == ["done: exact"]
    assert radius - EXACT <= float(found.low) <= radius + 1e-7
    assert float(found.high) == pytest.approx(radius, abs=EXACT)


def test_what_no_perturbation_changes_has_an_infinite_radius() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).requires_grad_(False)
    net.get_parameter("2.weight").zero_()
    net.get_parameter("2.bias").copy_(torch.tensor([1.0, 0.0]))
    found = judged(
        Mip(mode="radius"), net, torch.rand(1, 2), torch.tensor([0]), Threat(norm="linf", eps=0.1)
    )
    assert float(found.low) == math.inf
    assert found.outcome == ["done: exact"]


@pytest.fixture
def trained(digits: DataSet, digits_net: nn.Sequential) -> tuple[nn.Sequential, Tensor, Tensor]:
    right = digits_net(digits.x_test).argmax(1) == digits.y_test
    return digits_net, digits.x_test[right][:12], digits.y_test[right][:12]


@pytest.mark.parametrize("solver", ["highs", "gurobi"])
def test_digits_are_decided_and_both_modes_agree(
    solver: Any, trained: tuple[nn.Sequential, Tensor, Tensor]
) -> None:
    net, x, y = trained
    threat = Threat(norm="linf", eps=0.06)
    at_eps = judged(Mip(solver=solver), net, x, y, threat)
    assert {*at_eps.outcome} == {"done: certified", "done: adversarial"}
    known = Interval(low=at_eps.low, high=at_eps.high)
    radius = judged(
        Mip(mode="radius", solver=solver),
        net,
        x[:3],
        y[:3],
        threat,
        Interval(low=known.low[:3], high=known.high[:3]),
    )
    assert (radius.low.maximum(known.low[:3]) <= radius.high.minimum(known.high[:3])).all()
    assert sum(o.startswith("done: exact") for o in radius.outcome) == 3
    robust = radius.low > threat.eps
    assert torch.equal(robust, at_eps.low[:3] == threat.eps)


def near(trained: tuple[nn.Sequential, Tensor, Tensor], eps: float) -> _milp_problem.Around:
    net, x, y = trained
    exact = in_float64(net)
    threat = Threat(norm="linf", eps=eps)
    layers = read_layers(exact, (1, 8, 8))
    problem = _one_input.Input(exact, layers, x[0].double().flatten(), int(y[0]), (1, 8, 8), threat)
    return _milp_problem.around(problem, eps)


def test_tightened_bounds_hold_are_tighter_and_change_no_answer(
    trained: tuple[nn.Sequential, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    net, x, y = trained
    threat = Threat(norm="linf", eps=0.1)
    here = near(trained, 0.1)
    tight = _milp_problem.tightened(here, seconds=5.0, end=math.inf)
    layers = here.problem.layers
    bounds = here.bounds
    better = tight.bounds
    widths = [float((high - low).sum()) for low, high in bounds]
    narrower = [float((high - low).sum()) for low, high in better]
    assert narrower[0] == widths[0]
    assert narrower[1] < widths[1] - 1
    assert (tight.margins >= here.margins).all()
    assert (tight.margins > here.margins).any()
    noise = torch.rand(2000, 64, dtype=torch.float64).mul(2).sub(1)
    noise[::2] = noise[::2].sign()
    z = (here.problem.x + 0.1 * noise).clamp(0, 1)
    for layer, (low, high) in zip(layers, better, strict=False):
        pre = layer.forward(z)
        assert ((pre >= low) & (pre <= high)).all()
        z = pre.clamp_min(0)
    monkeypatch.setattr("evaluators._milp_search.FIRST", 0.0)
    plain, lp = (judged(Mip(tighten=how), net, x, y, threat) for how in HOW)
    assert plain.outcome == lp.outcome


class Spy:
    """HiGHS, and what it was asked."""

    name: ClassVar[str] = "spy"

    def __init__(self, answer: Answer | Exception | None = None) -> None:
        self.answer = answer
        self.asked = 0

    def solve(self, program: Program, **limits: float) -> Answer:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or Highs().solve(program, **limits)


def test_only_classes_in_doubt_are_asked_about_the_likeliest_first(
    trained: tuple[nn.Sequential, Tensor, Tensor],
) -> None:
    here = near(trained, 0.06)
    spy = Spy()
    doubtful = here.in_doubt()
    assert 0 < len(doubtful) < 9
    smallest = here.other_classes[int(here.margins.argmin())]
    assert doubtful[0] == smallest
    reply = ask(here, spy, time.monotonic() + 60)
    assert spy.asked == (1 if reply.status == "witness" else len(doubtful))
    assert near(trained, 1e-4).in_doubt() == []


@pytest.mark.parametrize("status", ["optimal", "below", "timeout"])
def test_an_answer_that_proves_nothing_certifies_nothing(
    status: Any, trained: tuple[nn.Sequential, Tensor, Tensor]
) -> None:
    here = near(trained, 0.06)
    for bound in (-math.inf, -1.0, 0.0, 1e-9):
        reply = ask(here, Spy(Answer(status, bound)), time.monotonic() + 0.2)
        assert reply.status == ("timeout" if status == "timeout" else "open")


def test_a_point_that_is_no_adversarial_input_is_no_witness(
    trained: tuple[nn.Sequential, Tensor, Tensor],
) -> None:
    here = near(trained, 0.06)
    v = here.encoding().variables(here.problem.x)
    assert ask(here, Spy(Answer("below", -1.0, v)), math.inf).status == "open"


def test_a_program_that_is_wrong_about_the_input_is_a_solver_error(
    trained: tuple[nn.Sequential, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    net, x, y = trained
    honest = encoding.Encoding.margin

    def wrong(self: encoding.Encoding, y: int, s: int) -> tuple[np.ndarray, float, float]:
        cost, offset, scale = honest(self, y, s)
        return cost, offset + 1e-6, scale

    monkeypatch.setattr(encoding.Encoding, "margin", wrong)
    found = judged(Mip(), net, x[:4], y[:4], Threat(norm="linf", eps=0.06))
    wrong_ones = [o.startswith("solver error: the program is wrong") for o in found.outcome]
    assert any(wrong_ones)
    assert not found.low[wrong_ones].any()


class Stub:
    """A HiGHS model that ends with some status."""

    def __init__(self, status: highspy.HighsModelStatus) -> None:
        self.status = status

    def getModelStatus(self) -> Any:  # noqa: N802
        return self.status

    def getInfo(self) -> Any:  # noqa: N802
        return highspy.HighsInfo()

    def modelStatusToString(self, status: Any) -> str:  # noqa: N802
        return str(status)


def test_infeasible_or_unbounded_is_never_robust() -> None:
    status = highspy.HighsModelStatus
    model = wide(3)
    for odd in (
        status.kUnboundedOrInfeasible,
        status.kUnbounded,
        status.kSolveError,
        status.kMemoryLimit,
        status.kUnknown,
        status.kInterrupt,
    ):
        with pytest.raises(SolverError, match="HiGHS says"):
            _highs._answer(Stub(odd), model, 1.0)
    infeasible: Any = Stub(status.kInfeasible)
    assert _highs._answer(infeasible, model, 1.0) == Answer("above", 1.0)


def test_a_solver_that_fails_on_one_input_leaves_the_others_alone(
    trained: tuple[nn.Sequential, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    net, x, y = trained
    threat = Threat(norm="linf", eps=0.06)
    calls = iter([None, RuntimeError("out of luck")])
    solve = Highs.solve

    def failing(self: Highs, program: Program, **limits: Any) -> Answer:
        if error := next(calls, None):
            raise error
        return solve(self, program, **limits)

    usual = judged(Mip(), net, x, y, threat)
    monkeypatch.setattr(Highs, "solve", failing)
    found = judged(Mip(), net, x, y, threat)
    odd = [o for o in found.outcome if o.startswith("solver error")]
    assert odd == ["solver error: RuntimeError: out of luck"]
    assert [a for a, b in zip(found.outcome, usual.outcome, strict=True) if a != b] == odd


def test_time_that_is_over_is_a_timeout_and_what_is_proven_by_then_counts(
    trained: tuple[nn.Sequential, Tensor, Tensor],
) -> None:
    net, x, y = trained
    threat = Threat(norm="linf", eps=0.06)
    none = judged(Mip(seconds=1e-3), net, x, y, threat)
    assert "timeout" in none.outcome
    assert not none.low[[o == "timeout" for o in none.outcome]].any()
    known = Interval(low=torch.full((1,), 0.001).double(), high=torch.full((1,), 0.5).double())
    some = judged(Mip(mode="radius", seconds=0.1), net, x[:1], y[:1], threat, known)
    exact = judged(Mip(mode="radius"), net, x[:1], y[:1], threat, known)
    assert (some.low <= exact.high).all()
    assert (some.low > 0.001).any()


def wide(variables: int) -> Program:
    n = np.ones(variables)
    return Program(
        cost=n,
        rows=sparse.csr_array((0, variables)),
        row_low=n[:0],
        row_high=n[:0],
        low=0 * n,
        high=n,
        whole=n > 0,
    )


def test_a_program_beyond_gurobis_licence_goes_to_highs_with_a_note() -> None:
    assert Gurobi().solve(wide(50), seconds=5).bound == pytest.approx(0)
    with pytest.raises(TooLarge, match="size-limited"):
        Gurobi().solve(wide(2100), seconds=5)
    found = WithinLicence(Gurobi(), Highs()).solve(wide(2100), seconds=5)
    assert found.bound == pytest.approx(0)
    assert found.note == "by HiGHS: 2100 variables, 0 constraints exceed Gurobi's licence"


@pytest.fixture
def no_licence(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    _gurobi._environment.cache_clear()
    monkeypatch.setenv("GRB_LICENSE_FILE", "/nowhere/gurobi.lic")
    yield
    _gurobi._environment.cache_clear()


@pytest.mark.usefixtures("no_licence")
def test_without_a_licence_each_input_says_so(
    trained: tuple[nn.Sequential, Tensor, Tensor],
) -> None:
    net, x, y = trained
    found = judged(Mip(solver="gurobi"), net, x[:3], y[:3], Threat(norm="linf", eps=0.06))
    assert any("solver error: Gurobi: Unable to open Gurobi license" in o for o in found.outcome)
    assert not found.low[["error" in o for o in found.outcome]].any()
    found = judged(Mip(), net, x[:3], y[:3], Threat(norm="linf", eps=0.06))
    assert all(o.startswith("done") for o in found.outcome)


def test_gurobi_is_needed_for_l2_and_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, digits_net: nn.Sequential
) -> None:
    linf = Threat(norm="linf", eps=0.1)
    l2 = Threat(norm="l2", eps=0.1)
    assert Mip().refusal(digits_net, l2) is None
    assert "mip.solver=gurobi" in str(Mip(solver="highs").refusal(digits_net, l2))
    monkeypatch.setitem(__import__("sys").modules, "gurobipy", None)
    assert Mip().refusal(digits_net, linf) is None
    assert "pip install" in str(Mip().refusal(digits_net, l2))
    assert "pip install" in str(Mip(solver="gurobi").refusal(digits_net, linf))


def test_misclassified_inputs_have_radius_zero_by_their_own_witness(
    digits: DataSet, digits_net: nn.Sequential
) -> None:
    x = digits.x_test[:4]
    y = (digits_net(digits.x_test[:4]).argmax(1) + 1) % 10
    assert (margins(digits_net(x), y) < 0).all()
    modes: tuple[Literal["decide", "radius"], ...] = ("decide", "radius")
    for mode in modes:
        evaluator = Mip(mode=mode)
        found = judged(evaluator, digits_net, x, y, Threat(norm="linf", eps=0.05))
        assert not found.low.any()
        assert (found.high <= 0.05).all()


@pytest.mark.parametrize("solver", ["highs", "gurobi"])
def test_a_region_where_classes_only_tie_has_an_exact_radius(solver: Any) -> None:
    # f = (relu(x - 1/4), 0) at x = 3/4: a tie from 1/4 down
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2)).requires_grad_(False)
    for name, value in (("0.weight", [[1.0]]), ("0.bias", [-0.25]), ("2.weight", [[1.0], [0.0]])):
        net.get_parameter(name).copy_(torch.tensor(value))
    net.get_parameter("2.bias").zero_()
    x = torch.tensor([[0.75]])
    y = torch.tensor([0])
    for eps in (0.01, 5.0, 1e12):
        evaluator = Mip(mode="radius", solver=solver)
        found = judged(evaluator, net, x, y, Threat(norm="linf", eps=eps))
        assert 0.5 - 1e-5 < float(found.low) <= 0.5
        assert float(found.high) == pytest.approx(0.5, abs=1e-5)
        found = judged(Mip(solver=solver), net, x, y, Threat(norm="linf", eps=max(eps, 0.6)))
        assert found.outcome == ["done: adversarial"]


@pytest.mark.parametrize("solver", ["highs", "gurobi"])
def test_many_tiny_weights_add_up(solver: Any) -> None:
    # h1 = relu(x0 - 1/2 + 9e-10 sum (xi - 1/2)), h2 = relu(x0 - 1/2), f = (5e-8 - h1 + h2, 0)
    net = nn.Sequential(nn.Linear(784, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    net.requires_grad_(False)
    weight = torch.full((2, 784), 9e-10).double()
    weight[1] = 0
    weight[:, 0] = 1
    net.load_state_dict(
        {
            "0.weight": weight,
            "0.bias": -weight.sum(1) / 2,
            "2.bias": torch.tensor([5e-8, 0]),
            "2.weight": torch.tensor([[-1.0, 1.0], [0.0, 0.0]]),
        }
    )
    x = torch.full((1, 784), 0.5)
    y = torch.tensor([0])
    assert float(margins(net(x.double() + 0.1), y)) < 0 < float(margins(net(x.double()), y))
    found = judged(Mip(solver=solver), net, x, y, Threat(norm="linf", eps=0.1))
    assert float(found.low) == 0


def test_settings_out_of_range_are_refused() -> None:
    for field in ("seconds", "tighten_seconds"):
        with pytest.raises(InputError, match=rf"mip\.{field} must be a positive number, got 0"):
            Mip(**{field: 0.0})  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["decide", "radius"])
def test_a_layer_that_is_dead_all_over_the_ball_is_a_constant(mode: Any) -> None:
    # margin 1e-6 of 1e8, whatever the input: within what the program can tell from a tie
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2)
    ).requires_grad_(False)
    values = {1: ([[1.0]], [-10.0]), 3: ([[1.0]], [1.0]), 5: ([[1e8], [1e8]], [1e-6, 0.0])}
    for i, (weight, bias) in values.items():
        net.get_submodule(str(i)).load_state_dict(
            {"weight": torch.tensor(weight), "bias": torch.tensor(bias)}
        )
    x = torch.tensor([[0.5]])
    y = torch.tensor([0])
    known = Interval(low=torch.zeros(1).double(), high=torch.full((1,), torch.inf).double())
    threat = Threat(norm="linf", eps=0.1)
    found = Mip(mode=mode).judge(net, x, y, threat=threat, known=known)
    assert found.status == ["undecided"]
    assert found.low.tolist() == [0.0]
