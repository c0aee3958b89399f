"""What counts as evidence at the edges of float64: decided exactly, rounded to the safe side."""

import math
from fractions import Fraction

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from bench.jobs.verdict import BadEvidence, Replay, combine, replay
from bench.parsing import NORMS
from bench.plugins.discovery import discover
from evaluators.interface import Evidence, Interval, contradictory
from relu.attacks.witness import adversarial, clearly_adversarial
from relu.network.reader import in_float64, read_layers
from relu.regions.hyperplanes import planes_of
from relu.regions.region import region_of
from relu.threat import Norm, Threat
from tests.hostile import rational
from tests.hostile.judging import variants

EVALUATORS = discover().evaluators
QUICK = variants(EVALUATORS)


def cancelling(seed: int) -> tuple[nn.Sequential, Tensor]:
    """A network in float64 and points at which its logits are nearly the same large number."""
    torch.manual_seed(seed)
    first = nn.Linear(4, 12)
    last = nn.Linear(12, 2)
    net = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last).double().requires_grad_(False)
    first.bias.add_(1)
    last.weight.mul_(1e9)
    last.weight[1] = last.weight[0] + torch.randn(12).double() * 1e-7
    z = torch.rand(40, 4).double()
    layers = rational.read(net, (4,))
    leads = [rational.margin(layers, rational.floats(point), 0) for point in z]
    last.bias[1] += float(sorted(leads)[20])
    return net, z


@pytest.mark.parametrize("seed", range(20))
def test_adversarial_is_what_exact_arithmetic_says(seed: int) -> None:
    net, z = cancelling(seed)
    layers = rational.read(net, (4,))
    for label in (0, 1):
        y = torch.full((40,), label)
        exact = [rational.margin(layers, rational.floats(p), label) <= 0 for p in z]
        assert 5 < sum(exact) < 35
        assert adversarial(net, z, y).tolist() == exact
        one_by_one = [bool(adversarial(net, z[i : i + 1], y[i : i + 1])) for i in range(40)]
        assert one_by_one == exact


def test_ties_are_adversarial_and_points_without_numbers_spoil_no_others() -> None:
    layer = nn.Linear(2, 2)
    layer.load_state_dict(
        {"weight": torch.tensor([[1.0, 0.0], [0.0, 1.0]]), "bias": torch.zeros(2)}
    )
    net = in_float64(nn.Sequential(nn.Flatten(), layer))
    little = 2.0**-70
    z = torch.tensor([[0.1, 0.1], [little, 0.0], [0.0, little], [math.nan, math.nan]]).double()
    assert adversarial(net, z, torch.zeros(4).long()).tolist()[:3] == [True, False, True]


def test_a_search_goes_on_to_points_that_are_clear_of_rounding() -> None:
    net, z = cancelling(0)
    y = torch.zeros(40).long()
    clear = clearly_adversarial(net, z, y)
    assert not (clear & ~adversarial(net, z, y)).any()
    assert not clearly_adversarial(net, z[:1], net(z[:1]).argmax(1)).any()


def evidence(witness: Tensor, low: float = 0.0) -> Evidence:
    nothing = torch.full((len(witness),), low, dtype=torch.float64)
    return Evidence(low=nothing, witness=witness, outcome=["done"] * len(witness))


def halves(d: int) -> nn.Module:
    """Class 1 where the pixels add up to more than nothing."""
    layer = nn.Linear(d, 2)
    layer.load_state_dict(
        {"weight": torch.stack([torch.zeros(d), torch.ones(d)]), "bias": torch.tensor([-1.0, 0.0])}
    )
    return in_float64(nn.Sequential(nn.Flatten(), layer))


def replayed(witness: Tensor, threat: Threat, low: float = 0.0) -> Replay:
    """About inputs at 0.1 (float32), of class 0."""
    x = torch.full(witness.shape, 0.1)
    y = torch.zeros(len(witness)).long()
    return replay(halves(witness.shape[1]), x, y, evidence(witness, low), threat=threat)


@pytest.mark.parametrize("norm", NORMS)
def test_a_high_is_never_below_the_exact_distance(norm: Norm) -> None:
    torch.manual_seed(0)
    witness = torch.rand(60, 3).double()
    checked = replayed(witness, Threat(norm=norm, eps=0.1))
    assert checked.high.isfinite().all()
    x = rational.floats(torch.full((3,), 0.1))
    for point, high in zip(witness, checked.high.tolist(), strict=True):
        assert rational.within(x, rational.floats(point), high, norm)
        assert not rational.within(x, rational.floats(point), high * (1 - 1e-14), norm)


@pytest.mark.parametrize("edge", [-0.1, 1.1])
def test_a_witness_at_an_edge_that_is_no_float32_lies_inside_to_the_last_bit(edge: float) -> None:
    inwards = 0.0 if edge < 0 else 1.0
    rounded = torch.tensor([[edge]])  # beyond both of these edges
    inner = torch.nextafter(rounded, torch.tensor(inwards))
    exact = torch.tensor([[edge]], dtype=torch.float64)
    outer = torch.nextafter(exact, exact * 2)
    threat = Threat(norm="linf", eps=0.1, box=(-0.1, 1.1))
    highs = [float(replayed(z, threat).high) for z in (rounded, inner, exact, outer)]
    assert [high < math.inf for high in highs] == [False, True, True, False]


@pytest.mark.parametrize(("norm", "farthest"), [("linf", 0.9), ("l1", 1.8), ("l2", 0.9 * 2**0.5)])
def test_a_low_at_the_farthest_point_of_the_box_is_malformed_but_inf_is_not(
    norm: Norm, farthest: float
) -> None:
    nothing = torch.full((1, 2), math.nan)
    threat = Threat(norm=norm, eps=0.1)
    assert float(replayed(nothing, threat, math.inf).low) == math.inf
    assert float(replayed(nothing, threat, farthest * (1 - 1e-6)).low) < farthest
    for low in (farthest * (1 + 1e-6), 25.0):
        with pytest.raises(BadEvidence, match="pixel"):
            replayed(nothing, threat, low)


def test_a_closed_ball_that_reaches_a_witness_is_a_contradiction() -> None:
    below = math.nextafter(0.25, 0.0)
    clean = pd.DataFrame({"index": range(4), "correct": [True, True, True, False]})
    witness = pd.DataFrame({"index": range(4), "low": 0.0, "high": [0.25, 0.25, math.inf, 0.0]})
    lows = pd.DataFrame({"index": range(4), "low": [0.25, below, math.inf, 0.0], "high": math.inf})
    found = combine(clean, {"pgd": witness, "kw": lows})
    assert [c.index for c in found.contradictions] == [0]
    assert found.table["low"].tolist() == [0.0] * 4
    assert not combine(clean[1:], {"pgd": witness[1:], "kw": lows[1:]}).contradictions
    assert combine(clean, {"kw": lows}, withdrawn=["kw"]).table["low"].tolist() == [0.0] * 4
    assert bool(contradictory(0.5, 0.5))
    assert not bool(contradictory(0.0, 0.0))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", QUICK)
def test_what_nothing_in_the_box_changes_has_an_infinite_radius(name: str, norm: Norm) -> None:
    layer = nn.Linear(2, 2)
    layer.load_state_dict({"weight": torch.zeros(2, 2), "bias": torch.tensor([1.0, 0.0])})
    net = nn.Sequential(nn.Flatten(), layer).requires_grad_(False)
    evaluator = QUICK[name]
    threat = Threat(norm=norm, eps=5.0)
    if evaluator.refusal(net, threat) is not None:
        pytest.skip("refuses this threat")
    x = torch.tensor([[0.0, 0.5], [1.0, 1.0]])
    y = torch.zeros(2).long()
    known = Interval(low=torch.zeros(2).double(), high=torch.full((2,), math.inf).double())
    found = evaluator.judge(net, x, y, threat=threat, known=known)
    checked = replay(in_float64(net), x, y, found, threat=threat)
    assert checked.high.isinf().all()
    assert torch.isin(checked.low, torch.tensor([0.0, math.inf]).double()).all()


@pytest.mark.parametrize("claim", [0.9, math.inf])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("pgd", {"growth": 1.0}),
        ("ensemble", {"growth": 1.0}),
        ("cw", {"preset": "fast"}),
        ("region_attack", {}),
    ],
)
def test_attacks_look_again_at_what_others_certify(
    name: str, settings: dict[str, object], claim: float
) -> None:
    net = halves(2).float()
    y = torch.zeros(3).long()
    x = torch.tensor([[0.1, 0.7], [0.4, 0.4], [0.0, 0.3]])
    known = Interval(low=torch.full((3,), claim).double(), high=torch.full((3,), math.inf).double())
    threat = Threat(norm="l2", eps=0.75)
    found = EVALUATORS[name].build(settings).judge(net, x, y, threat=threat, known=known)
    checked = replay(in_float64(net), x, y, found, threat=threat)
    assert checked.high.isfinite().all()
    assert set(checked.status) == {"done"}


@pytest.mark.parametrize("norm", NORMS)
def test_claims_beyond_the_box_are_infinite(norm: Norm) -> None:
    # f = (1, x0 / 5): without a box, the nearest tie is at 5
    layer = nn.Linear(1, 2)
    layer.load_state_dict(
        {"weight": torch.tensor([[0.0], [0.2]]), "bias": torch.tensor([1.0, 0.0])}
    )
    net = nn.Sequential(nn.Flatten(), layer).requires_grad_(False)
    x = torch.tensor([[0.5]])
    y = torch.zeros(1).long()
    threat = Threat(norm=norm, eps=2.0)
    known = Interval(low=torch.zeros(1).double(), high=torch.full((1,), math.inf).double())
    for name, evaluator in QUICK.items():
        if evaluator.refusal(net, threat) is None:
            found = evaluator.judge(net, x, y, threat=threat, known=known)
            assert float(found.low) in (0.0, math.inf) or float(found.low) < 0.5, name


@pytest.mark.parametrize("norm", NORMS)
def test_a_constant_loss_has_radius_zero(norm: Norm) -> None:
    # A unit that is dead at x and on all of the region: there the other class always wins
    first = nn.Linear(1, 1)
    last = nn.Linear(1, 2)
    first.load_state_dict({"weight": torch.ones(1, 1), "bias": torch.tensor([-0.75])})
    last.load_state_dict({"weight": torch.tensor([[9.0], [0.0]]), "bias": torch.tensor([0.0, 1.0])})
    net = in_float64(nn.Sequential(first, nn.ReLU(), last))
    layers = read_layers(net, (1,))
    y = torch.zeros(1).long()
    region = region_of(layers, torch.full((1, 1), 0.25).double())
    assert planes_of(region, y, Threat(norm=norm, eps=1.0)).low[0, -1] == 0
    assert planes_of(region, 1 - y, Threat(norm=norm, eps=1.0)).low[0, -1] == math.inf


@pytest.mark.parametrize("bound", ["CROWN", "CROWN-IBP", "IBP"])
@pytest.mark.parametrize("seed", range(20))
def test_lirpa_takes_off_what_sums_over_the_ball_may_be_off_by(bound: str, seed: int) -> None:
    # P x - Q x - d x + 1 with P = Q exactly, from x = 0, where all sums are as small as the bias
    draw = torch.Generator().manual_seed(seed)
    factors = torch.randint(2**11, 2**12, (8,), generator=draw).tolist()
    pairs = [(0, 1), (2, 3), (4, 5), (6, 7)], [(0, 3), (2, 5), (4, 7), (6, 1)]
    one, two = ([float(factors[a] * factors[b]) for a, b in order] for order in pairs)
    assert math.prod(map(Fraction, one)) == math.prod(map(Fraction, two))
    slope = float(torch.tensor(math.prod(one) * 2.0**-54))
    layers: list[nn.Module] = [nn.Flatten()]
    for number, column in enumerate(zip(one[:3], two[:3], strict=True)):
        weight = torch.tensor([*column, 1.0])
        layer = nn.Linear(1 if number == 0 else 3, 3)
        layer.weight.data = weight[:, None] if number == 0 else weight.diag()
        layer.bias.data.zero_()
        layers += [layer, nn.ReLU()]
    last = nn.Linear(3, 2)
    last.weight.data = torch.tensor([[one[3], 0.0, 0.0], [0.0, two[3], slope]])
    last.bias.data = torch.tensor([1.0, 0.0])
    net = nn.Sequential(*layers, last).requires_grad_(False)
    evaluator = EVALUATORS["lirpa"].build({"bound": bound})
    threat = Threat(norm="linf", eps=0.5)
    if evaluator.refusal(net, threat) is not None:
        pytest.skip("auto_LiRPA is not installed")
    known = Interval(low=torch.zeros(1).double(), high=torch.full((1,), math.inf).double())
    x = torch.zeros(1, 1)
    y = torch.zeros(1).long()
    found = evaluator.judge(net, x, y, threat=threat, known=known)
    assert slope > 2
    assert Fraction(float(found.low)) < 1 / Fraction(slope)
