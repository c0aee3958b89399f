"""Properties as networks: their margins and boxes, against exact arithmetic."""

from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from relu.attacks.rational import exact_margins
from relu.attacks.witness import adversarial
from relu.errors import InputError
from relu.network.activation import logits_of
from relu.network.layers import Shape, to_vectors
from relu.network.property.case import (
    Case,
    Row,
    enclosing_box,
    float32_down,
    float32_up,
    inner_box,
)
from relu.network.property.condition import Side, condition_network, property_network
from relu.network.reader import in_float64, read_layers

LABEL = torch.tensor([0])
OUTPUTS = 3


class Residual(nn.Module):
    """A small graph: two paths that are added."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 5)
        self.second = nn.Linear(5, 5)
        self.last = nn.Linear(5, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        below = torch.relu(self.first(x))
        logits: Tensor = self.last(torch.relu(below + self.second(below)))
        return logits


NETS: list[tuple[nn.Module, Shape]] = [
    (nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, OUTPUTS)), (4,)),
    (nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, OUTPUTS)), (1, 2, 2)),
    (
        nn.Sequential(
            nn.Conv2d(2, 3, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3, OUTPUTS)
        ),
        (2, 3, 3),
    ),
    (Residual(), (4,)),
]


def draw_row(draw: torch.Generator) -> Row:
    """Whole numbers, decimals and long fractions as coefficients; some rows are strict."""
    kinds = torch.randint(4, (OUTPUTS,), generator=draw).tolist()
    numbers = torch.randint(-9, 10, (OUTPUTS,), generator=draw).tolist()
    scales = [Fraction(1), Fraction(1, 10), Fraction(1, 7), Fraction(123456789, 1000)]
    coefficients = tuple(
        (j, scales[kind] * number)
        for j, (kind, number) in enumerate(zip(kinds, numbers, strict=True))
        if number
    )
    bound = Fraction(int(torch.randint(-20, 21, (), generator=draw)), 10)
    return Row(coefficients, bound, bool(torch.randint(2, (), generator=draw)))


def draw_case(draw: torch.Generator, size: int) -> Case:
    lower, upper = [], []
    for _ in range(size):
        low = Fraction(int(torch.randint(-1000, 1000, (), generator=draw)), 997)
        width = Fraction(int(torch.randint(0, 300, (), generator=draw)), 1000)
        lower.append(low)
        upper.append(low + width)
    counts = torch.randint(1, 5, (3,), generator=draw).tolist()
    disjuncts = tuple(tuple(draw_row(draw) for _ in range(count)) for count in counts)
    return Case(tuple(lower), tuple(upper), disjuncts)


def exact_outputs(net: nn.Module, shape: Shape, x: Tensor) -> list[list[Fraction]]:
    """The outputs of float64 inputs, each as its margin over a logit that is 0."""
    columns = []
    for j in range(OUTPUTS):
        signs = torch.zeros(2, OUTPUTS, dtype=torch.float64)
        signs[0, j] = 1
        layers = read_layers(nn.Sequential(in_float64(net), _plain(signs)), shape)
        columns.append(exact_margins(layers, to_vectors(layers, x), LABEL.expand(len(x))))
    return [list(row) for row in zip(*columns, strict=True)]


def _plain(weight: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64)
    linear.weight = nn.Parameter(weight)
    return linear


def expected_margin(disjuncts: Sequence[Sequence[Row]], y: Sequence[Fraction], side: Side) -> bool:
    """Whether outputs violate, with bounds moved by no more than a float32 step to the side."""
    return any(all(_holds(row, y, side) for row in rows) for rows in disjuncts)


def _holds(row: Row, y: Sequence[Fraction], side: Side) -> bool:
    value = sum((a * y[j] for j, a in row.coefficients), Fraction(0))
    slack = Fraction(1, 2**22) * (abs(row.bound) + Fraction(1, 10**40))
    return value <= row.bound + (slack if side == "outer" else -slack)


@pytest.mark.parametrize("which", range(len(NETS)))
def test_property_networks_violate_what_exact_arithmetic_says(which: int) -> None:
    torch.manual_seed(which)
    draw = torch.Generator().manual_seed(which)
    net, shape = NETS[which]
    violations = 0
    for _ in range(5):
        case = draw_case(draw, int(torch.Size(shape).numel()))
        network = property_network(net, case, shape, OUTPUTS)
        inner = in_float64(condition_network(net, case.disjuncts, OUTPUTS, side="inner"))
        u = 2 * torch.rand(6, *shape, generator=draw) - 1
        x = network.inputs(u)
        at_u = adversarial(in_float64(network), u, LABEL.expand(len(u)))
        at_x = adversarial(inner, x, LABEL.expand(len(x)))
        for i, y in enumerate(exact_outputs(net, shape, x)):
            violated = case.violated(y)
            violations += violated
            assert bool(at_x[i]) <= violated  # a witness of the inner network is one
            assert violated <= bool(at_u[i])  # and the outer network misses none
            assert bool(at_u[i]) <= expected_margin(case.disjuncts, y, "outer")
            assert expected_margin(case.disjuncts, y, "inner") <= bool(at_x[i])
    assert 3 < violations < 27


@pytest.mark.parametrize("which", range(len(NETS)))
def test_layers_of_property_networks_are_the_networks(which: int) -> None:
    torch.manual_seed(which)
    draw = torch.Generator().manual_seed(which)
    net, shape = NETS[which]
    case = draw_case(draw, int(torch.Size(shape).numel()))
    exact = in_float64(property_network(net, case, shape, OUTPUTS))
    layers = read_layers(exact, shape)
    u = torch.rand(7, *shape, generator=draw, dtype=torch.float64)
    torch.testing.assert_close(logits_of(layers, to_vectors(layers, u)), exact(u))


def test_logits_are_margins_of_conjunctions() -> None:
    net = nn.Identity()
    one = Fraction(1)
    y0, y1, y2 = (Row(((j, one),), Fraction(j)) for j in range(3))
    condition = condition_network(net, [(y0, y1, y2), (y1,)], OUTPUTS, side="outer")
    y = torch.tensor([[5.0, 2.0, 9.0], [-1.0, -1.0, -1.0], [0.0, 3.0, 2.0]])
    # max(y0, y1 - 1, y2 - 2), and y1 - 1
    expected = torch.tensor([[0.0, -7.0, -1.0], [0.0, 1.0, 2.0], [0.0, -2.0, -2.0]])
    assert torch.equal(condition(y), expected)


def test_only_conjunctions_need_units() -> None:
    net = NETS[0][0]
    row = Row(((0, Fraction(1)),), Fraction(0))
    plain, both = (
        read_layers(condition_network(net, [rows], OUTPUTS, side="outer"), (4,))
        for rows in ((row,), (row, row))
    )
    assert len(plain) < len(both)


def test_long_coefficients_stay_exact() -> None:
    long = Fraction(2**60 + 2**30, 3)
    row = Row(((0, long), (1, Fraction(1, 3))), Fraction(0))
    condition = condition_network(nn.Identity(), [(row,)], 2, side="outer")
    weights = [part.get_parameter("weight")[1].tolist() for part in condition.rows]
    parts = [[Fraction(a) for a in row] for row in weights]
    total = [sum(column, Fraction(0)) for column in zip(*parts, strict=True)]
    assert total == [-3 * long, -1]


def test_numbers_beyond_float32_are_refused() -> None:
    huge, one = Fraction(10**40), Fraction(1)
    with pytest.raises(InputError, match="float32's range"):
        rows = [(Row(((0, huge), (1, one)), Fraction(0)),)]
        condition_network(nn.Identity(), rows, 2, side="outer")
    with pytest.raises(InputError, match="float32's range"):
        enclosing_box(Case((Fraction(0),), (huge,), ()))
    with pytest.raises(InputError, match="shorter numbers"):
        rows = [(Row(((0, Fraction((2**126 - 1) // 3)), (1, one)), Fraction(0)),)]
        condition_network(nn.Identity(), rows, 2, side="outer")


def test_common_factors_are_left_out() -> None:
    row = Row(((0, Fraction(3, 10)), (1, Fraction(-9, 10))), Fraction(1, 7))
    condition = condition_network(nn.Identity(), [(row,)], 2, side="inner")
    (linear,) = condition.rows
    assert linear.get_parameter("weight")[1].tolist() == [-1, 3]
    assert Fraction(float(linear.get_parameter("bias")[1])) <= Fraction(10, 21)


def test_boxes_hold_the_case_and_are_held_by_it() -> None:
    draw = torch.Generator().manual_seed(0)
    for _ in range(200):
        case = draw_case(draw, 5)
        center, radius = enclosing_box(case)
        inside = inner_box(case)
        for j in range(5):
            c, r = Fraction(float(center[j])), Fraction(float(radius[j]))
            low, high = case.lower[j], case.upper[j]
            assert c - r <= low <= high <= c + r
            assert r - (high - low) / 2 < Fraction(1, 2**22)
            first, last = (Fraction(float(edge[j])) for edge in inside)
            assert low <= first
            assert last <= high
            assert first - low < Fraction(1, 2**22)
            assert high - last < Fraction(1, 2**22)


def test_a_point_is_a_box_of_radius_zero_where_it_is_a_float32() -> None:
    half, tenth = Fraction(1, 2), Fraction(1, 10)
    center, radius = enclosing_box(Case((half, tenth), (half, tenth), ()))
    assert center[0] == 0.5
    assert radius[0] == 0
    assert 0 < radius[1] < 1e-8
    first, last = inner_box(Case((half, tenth), (half, tenth), ()))
    assert first[0] == last[0] == 0.5
    assert first[1] > last[1]  # no float32 is 0.1


def test_open_ends_are_left_out() -> None:
    half, one = Fraction(1, 2), Fraction(1)
    case = Case((half,), (one,), (), frozenset({0}), frozenset({0}))
    first, last = inner_box(case)
    assert float(first[0]) == 0.5 + 2.0**-24
    assert float(last[0]) == 1 - 2.0**-24


def test_bounds_are_rounded_to_their_side() -> None:
    third, half = Fraction(1, 3), Fraction(1, 2)
    rows = [
        (Row(((0, Fraction(1)),), bound, strict),)
        for bound in (third, half)
        for strict in (False, True)
    ]
    sides: tuple[Side, ...] = ("outer", "inner")
    outer, inner = (
        condition_network(nn.Identity(), rows, 2, side=side).rows[0].get_parameter("bias")[1:]
        for side in sides
    )
    for j, bound in enumerate((third, third, half, half)):
        assert Fraction(float(inner[j])) <= bound <= Fraction(float(outer[j]))
    assert outer[2] == outer[3] == inner[2] == 0.5
    assert 0.5 - 1e-7 < inner[3] < 0.5  # of a strict row


@pytest.mark.parametrize("text", ["0.1", "-0.1", "1e-60", "-1e-60", "0", "16777217", "3.4e38"])
def test_rounding_is_to_the_next_float32(text: str) -> None:
    value = Fraction(text)
    up, down = Fraction(float32_up(value)), Fraction(float32_down(value))
    assert down <= value <= up
    below = torch.tensor(float32_up(value)).nextafter(torch.tensor(-torch.inf))
    assert (up == value) or Fraction(float(below)) == down
