"""Every evaluator that discovery finds keeps the contract of evaluators/interface.py."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from bench.jobs.by_radius import judge_by_radius
from bench.jobs.verdict import Replay, replay
from bench.parsing import NORMS
from bench.plugins.discovery import discover
from evaluators.interface import Evaluator, Interval, certified_at, contradictory, fooled_at
from relu.classes import margins
from relu.errors import InputError
from relu.network.reader import in_float64
from relu.threat import Norm, Threat
from tests.oracles import Layer, exact_radius
from tests.strategies import seeds, tiny_nets

EVALUATORS = discover().evaluators
# Less of the same, of those that would look for long at inputs of which nothing is to be found.
SMALL: dict[str, dict[str, object]] = {
    "ensemble": {"steps": 10, "targets": 2, "fab_steps": 10, "square_steps": 10, "rounds": 0}
}


def unknown(net: nn.Module, x: Tensor, y: Tensor) -> Interval:
    """What the bench knows before the first evaluator: who is misclassified."""
    wrong = margins(in_float64(net)(x.double()), y) <= 0
    high = torch.where(wrong, 0.0, torch.inf).double()
    return Interval(low=torch.zeros_like(high), high=high)


def judged(
    name: str, net: nn.Module, x: Tensor, y: Tensor, threat: Threat, known: Interval | None = None
) -> tuple[Interval, Replay]:
    known = known or unknown(net, x, y)
    evaluator = EVALUATORS[name].cls(**SMALL.get(name, {}))
    evidence = evaluator.judge(net, x, y, threat=threat, known=known)
    return known, replay(in_float64(net), x, y, evidence, threat=threat)


@pytest.mark.parametrize("name", EVALUATORS)
def test_it_builds_with_its_defaults_and_refuses_negative_numbers(name: str) -> None:
    assert isinstance(EVALUATORS[name].cls(), Evaluator)
    assert EVALUATORS[name].cls.resource in ("cpu", "gpu")
    for field, default in EVALUATORS[name].fields().items():
        if isinstance(default, int | float) and not isinstance(default, bool):
            with pytest.raises(InputError, match=rf"{name}\.{field}.*-7"):
                EVALUATORS[name].cls(**{field: type(default)(-7)})


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", EVALUATORS)
def test_no_witness_is_refused_and_no_interval_is_empty(
    name: str, norm: Norm, digits_net: nn.Sequential
) -> None:
    threat = Threat(norm=norm, eps={"linf": 0.05, "l2": 0.2, "l1": 0.5}[norm])
    if EVALUATORS[name].cls().refusal(digits_net, threat) is not None:
        pytest.skip("refuses this threat")
    x = torch.rand(40, 1, 8, 8)
    y = digits_net(x).argmax(1)
    y[:5] = (y[:5] + 1) % 10
    known, checked = judged(name, digits_net, x, y, threat)
    assert not [o for o in checked.outcome if "refused" in o]
    assert not contradictory(checked.low, checked.high.minimum(known.high)).any()
    assert (checked.low[known.high > 0] < checked.high[known.high > 0]).all() or name == "lirpa"


@pytest.mark.parametrize("name", EVALUATORS)
def test_what_is_decided_is_left_alone(name: str, digits_net: nn.Sequential) -> None:
    x = torch.rand(6, 1, 8, 8)
    y = digits_net(x).argmax(1)
    radius = torch.full((6,), 0.01).double()
    decided = Interval(low=radius, high=radius)
    _, checked = judged(name, digits_net, x, y, Threat(norm="linf", eps=0.1), decided)
    assert all(outcome.startswith("skipped") for outcome in checked.outcome)
    assert checked.status == ["skipped"] * len(x)


QUICK: dict[str, dict[str, object]] = {
    **SMALL,
    "mip": {"seconds": 2.0},
    "cw": {"preset": "fast"},
}


def require_exact_folding(
    layer: nn.Conv2d | nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d
) -> None:
    """Makes numbers of both of which folding in float32 rounds none, whatever the machine.

    Else these were two networks, whose radii may differ by more than what is asked.
    """
    assert layer.bias is not None
    assert norm.running_var is not None
    assert norm.running_mean is not None
    norm.eps = 0.0
    norm.running_var.copy_(4.0 ** (norm.running_var.log2() / 2).round())
    norm.running_mean.copy_((norm.running_mean * 64).round() / 64)
    layer.bias.copy_((layer.bias * 1024).round() / 1024)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", EVALUATORS)
def test_a_network_with_batch_norm_is_judged_as_the_one_it_folds_into(
    name: str, norm: Norm
) -> None:
    torch.manual_seed(3)
    conv, first, last = nn.Conv2d(1, 2, 3, padding=1), nn.Linear(18, 5), nn.Linear(5, 3)
    norms = nn.BatchNorm2d(2), nn.BatchNorm1d(5)
    parts = [conv, norms[0], nn.ReLU(), nn.Flatten(), first, norms[1], nn.ReLU(), last]
    net = nn.Sequential(*parts)
    for _ in range(20):
        net(torch.rand(30, 1, 3, 3))
    net.eval().requires_grad_(False)
    require_exact_folding(conv, norms[0])
    require_exact_folding(first, norms[1])
    folded = nn.Sequential(
        fuse_conv_bn_eval(conv, norms[0]),
        nn.ReLU(),
        nn.Flatten(),
        fuse_linear_bn_eval(first, norms[1]),
        nn.ReLU(),
        last,
    ).eval()
    every = torch.rand(100, 1, 3, 3, dtype=torch.float64)
    assert torch.allclose(in_float64(net)(every), in_float64(folded)(every), rtol=0, atol=1e-14)
    # In l2, auto_LiRPA bounds a batch norm a little better than what it folds into: at 0.1 it
    # would certify one network and not the other.
    threat = Threat(norm=norm, eps=0.05)
    if EVALUATORS[name].cls().refusal(net, threat) is not None:
        pytest.skip("refuses this threat")
    x = torch.rand(5, 1, 3, 3)
    y = net(x).argmax(1)
    y[0] = (y[0] + 1) % 3
    evaluator = EVALUATORS[name].cls(**QUICK.get(name, {}))
    ours, theirs = (
        replay(
            in_float64(each),
            x,
            y,
            evaluator.judge(each, x, y, threat=threat, known=unknown(net, x, y)),
            threat=threat,
        )
        for each in (net, folded)
    )
    assert not [o for o in ours.outcome if "refused" in o]
    assert not contradictory(ours.low, ours.high).any()
    assert torch.allclose(ours.low, theirs.low, rtol=1e-3, atol=1e-6)
    assert (ours.low <= (1 + 1e-6) * theirs.high).all()
    assert (theirs.low <= (1 + 1e-6) * ours.high).all()


# Settings under which evaluators that have several ways of working take them, beside the default.
WAYS: list[tuple[str, dict[str, object]]] = [
    *((name, QUICK.get(name, {})) for name in EVALUATORS),
    ("mip", {"mode": "radius", "seconds": 2.0}),
    ("kw", {"bisection_steps": 0}),
    ("region", {"neighbours": "unlimited", "seconds": 2.0}),
    ("region", {"neighbours": 0}),
    ("crown", {"box": False}),
]


@pytest.mark.parametrize("lie", [0.03, 0.4, 0.999, 5.0, torch.inf])
@pytest.mark.parametrize(("name", "settings"), WAYS, ids=str)
def test_a_false_low_of_others_is_no_part_of_the_evidence(
    name: str, settings: dict[str, object], lie: float
) -> None:
    # f = (1/4, x_1): the radius of x is 1/4 - x_1, where x_1 < 1/4
    first = nn.Linear(2, 2)
    last = nn.Linear(2, 2)
    first.load_state_dict({"weight": torch.eye(2), "bias": torch.zeros(2)})
    last.load_state_dict(
        {"weight": torch.tensor([[0.0, 0.0], [1.0, 0.0]]), "bias": torch.tensor([0.25, 0.0])}
    )
    net = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last).requires_grad_(False)
    x = torch.tensor([[0.0, 0.5], [0.125, 0.25], [0.1875, 1.0]])
    y = torch.zeros(3, dtype=torch.long)
    exact = torch.tensor([0.25, 0.125, 0.0625]).double()
    threat = Threat(norm="linf", eps=0.1)
    nothing = torch.full((3,), torch.inf).double()
    known = Interval(low=torch.full((3,), lie).double(), high=nothing)
    evaluator = EVALUATORS[name].cls(**settings)
    if evaluator.refusal(net, threat) is not None:
        pytest.skip("refuses this threat")
    found = evaluator.judge(net, x, y, threat=threat, known=known)
    assert (found.low <= exact).all(), found.low
    assert not torch.isin(found.low, torch.tensor([lie]).double()).any()


@pytest.mark.parametrize("name", EVALUATORS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=tiny_nets(), seed=seeds)
def test_the_exact_radius_lies_between_low_and_high(
    name: str, drawn: tuple[nn.Sequential, int], seed: int
) -> None:
    net, d = drawn
    x = torch.rand(2, d, generator=torch.Generator().manual_seed(seed))
    y = net(x).argmax(1)
    layers: list[Layer] = [
        (layer.weight.double().numpy(), layer.bias.double().numpy())
        for layer in net
        if isinstance(layer, nn.Linear)
    ]
    for norm in ("linf", "l1"):
        threat = Threat(norm=norm, eps=0.1)
        if EVALUATORS[name].cls().refusal(net, threat) is not None:
            continue
        known, checked = judged(name, net, x, y, threat)
        high = checked.high.minimum(known.high)
        for i in range(len(x)):
            exact = exact_radius(layers, x[i].double().numpy(), int(y[i]), norm)
            assert checked.low[i] <= exact + 1e-7
            assert exact <= high[i] + 1e-7 or np.isinf(exact)


def scaled(scale: float, hidden: int) -> nn.Sequential:
    """Margin scale^(hidden + 1) (x_1 - 1/4) of class 0, and no unit that ever switches."""
    first, *others = (nn.Linear(2, 2) for _ in range(hidden + 2))
    first.load_state_dict(
        {"weight": torch.tensor([[1.0, 0.0], [0.0, 0.0]]), "bias": torch.tensor([1.0, 1.25])}
    )
    layers: list[nn.Module] = [nn.Flatten(), first]
    for layer in others:
        layer.load_state_dict({"weight": torch.eye(2) * scale, "bias": torch.zeros(2)})
        layers += [nn.ReLU(), layer]
    return nn.Sequential(*layers).requires_grad_(False)


@pytest.mark.parametrize(("scale", "hidden"), [(1e-35, 4), (1e-17, 9), (1e-38, 8)])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("name", "settings"), WAYS, ids=str)
def test_rows_whose_squares_underflow_certify_no_more_than_the_radius(
    name: str, settings: dict[str, object], norm: Norm, scale: float, hidden: int
) -> None:
    net = scaled(scale, hidden)
    x = torch.tensor([[0.5, 0.5]])
    threat = Threat(norm=norm, eps=0.5)
    evaluator = EVALUATORS[name].cls(**settings)
    if evaluator.refusal(net, threat) is not None:
        pytest.skip("refuses this threat")
    y = torch.zeros(1, dtype=torch.long)
    known = Interval(low=torch.zeros(1).double(), high=torch.full((1,), torch.inf).double())
    evidence = evaluator.judge(net, x, y, threat=threat, known=known)
    checked = replay(in_float64(net), x, y, evidence, threat=threat)
    assert checked.low[0] <= 0.25
    assert checked.high[0] >= 0.25


def test_a_lower_row_of_crown_is_never_below_kws() -> None:
    """Of nets with slopes from 1e-3 to 1e13, some of which float32 makes nothing of."""
    better = 0
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        linear = [nn.Linear(3, 6), nn.Linear(6, 5), nn.Linear(5, 3)]
        for layer in linear:
            power = torch.randint(-3, 14, (2,), generator=generator)
            layer.weight.data = torch.randn(layer.weight.shape, generator=generator)
            layer.weight.data *= 10.0 ** float(power[0])
            layer.bias.data *= 10.0 ** float(power.amin())
        net = nn.Sequential(nn.Flatten(), linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2])
        net.requires_grad_(False)
        x = torch.rand(10, 3, generator=generator)
        y = in_float64(net)(x.double()).argmax(1)
        threat = Threat(norm="l2", eps=0.01)
        known = unknown(net, x, y)
        kw, crown = (
            EVALUATORS[name].cls().judge(net, x, y, threat=threat, known=known).low
            for name in ("kw", "crown")
        )
        assert (crown >= kw).all(), seed
        better += int((crown > kw).sum())
    assert better > 10


# Of evaluators that ask about eps alone, where they are set to: no other radius is proven.
AT_EPS: list[tuple[str, dict[str, object]]] = [
    ("kw", {"bisection_steps": 0}),
    ("crown", {"bisection_steps": 0}),
    ("pgd", {"growth": 1.0}),
    ("mip", {"seconds": 5.0}),
    ("lirpa", {}),
]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("name", "settings"),
    [*((name, QUICK.get(name, {})) for name in EVALUATORS), *AT_EPS],
    ids=str,
)
def test_inputs_with_a_radius_each_are_judged_as_each_alone_at_its_own(
    name: str, settings: dict[str, object], norm: Norm
) -> None:
    torch.manual_seed(4)
    last = nn.Linear(8, 3).requires_grad_(False)
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), last).requires_grad_(False)
    x = torch.rand(8, 4)
    last.bias.sub_(net(x).mean(0))  # of all classes there are some
    y = net(x).argmax(1)
    y[0] = (y[0] + 1) % 3
    known = unknown(net, x, y)
    radius = judged("region", net, x, y, Threat(norm=norm, eps=0.1), known)[1].low
    shares = torch.tensor([0.1, 2.0, 0.4, 2.5, 0.2, 3.0, 0.5, 0.6]).double()
    threat = Threat(norm=norm, eps=shares * radius.clamp_min(0.01))
    evaluator = EVALUATORS[name].cls(**settings)
    if evaluator.refusal(net, threat.widest) is not None:
        pytest.skip("refuses this threat")

    def judge(rows: slice, threat: Threat) -> Replay:
        told = known.part(rows)
        evidence = judge_by_radius(evaluator, net, x[rows], y[rows], threat=threat, known=told)
        return replay(in_float64(net), x[rows], y[rows], evidence, threat=threat)

    ours = judge(slice(0, 8), threat)
    theirs = [judge(slice(i, i + 1), threat.at(i)) for i in range(8)]
    low, high = (torch.cat([getattr(one, k) for one in theirs]) for k in ("low", "high"))
    eps = threat.each(x)
    assert torch.allclose(ours.low, low, rtol=1e-4, atol=0)
    assert torch.equal(certified_at(ours.low, eps), certified_at(low, eps))
    assert torch.equal(fooled_at(ours.high, eps), fooled_at(high, eps))
    assert not contradictory(ours.low.maximum(low), ours.high.minimum(high)).any()
    assert ours.status == [status for one in theirs for status in one.status]
    if (name, settings) in AT_EPS:
        assert ((ours.low == 0) | (ours.low == eps)).all()
        assert ((ours.high <= eps) | ours.high.isinf()).all()
        assert certified_at(ours.low, eps).any() or name == "pgd"
        assert fooled_at(ours.high, eps)[1:6:2].all() or name not in ("pgd", "mip")
