"""Lines around a ReLU."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from relu.bounds.relaxation import LinearRelaxation, Relaxation, lines_of
from relu.bounds.relaxed_network import least_output
from relu.network.activation import activated, crossing
from relu.network.layers import Dense
from tests.strategies import seeds


@pytest.mark.parametrize("relaxation", ["kw", "crown"])
@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_the_relu_lies_between_its_lines_everywhere(relaxation: Relaxation, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    ends = torch.randn(2, 1, 40, generator=draw).double().sort(0).values
    ends[0, :, :5] = 0.0
    ends[1, :, 5:10] = 0.0
    low, high = ends.sort(0).values
    z = low + (high - low) * torch.rand(1, 40, generator=draw).double()
    lines, given_ = lines_of(z, low, high, relaxation)
    assert lines.parallel == (relaxation == "kw")
    for share in torch.linspace(0, 1, 33).tolist():
        at = low + (high - low) * share
        least = given_ - lines.below + lines.lower * (at - z)
        most = given_ + lines.above + lines.upper * (at - z)
        assert (least <= at.clamp_min(0) + 1e-12).all()
        assert (most >= at.clamp_min(0) - 1e-12).all()


def test_crown_takes_the_lower_line_that_leaves_less_area() -> None:
    low = torch.tensor([[-2.0, -1.0]])
    high = torch.tensor([[1.0, 2.0]])
    lines, _ = lines_of(torch.zeros(1, 2), low, high, "crown")
    assert lines.lower.tolist() == [[0.0, 1.0]]
    assert torch.allclose(lines.upper, torch.tensor([[1 / 3, 2 / 3]]))


def test_units_that_cannot_switch_have_one_line() -> None:
    low = torch.tensor([[0.0, -3.0, 1.0]])
    high = torch.tensor([[2.0, 0.0, 2.0]])
    assert not crossing(low, high).any()
    lines, given_ = lines_of(torch.tensor([[1.0, -1.0, 1.5]]), low, high, "kw")
    assert lines.upper.tolist() == [[1.0, 0.0, 1.0]]
    assert given_.tolist() == [[1.0, 0.0, 1.5]]
    assert not lines.above.any()


def _hold(
    lines: LinearRelaxation, middle: Tensor, low: Tensor, high: Tensor, z: Tensor, leak: float
) -> None:
    """The units lie between the lines: at the ends and at 0, in exact arithmetic."""
    a = Fraction(leak)
    for i in range(low.numel()):
        lower, upper, below, above, at, gives, start, end = (
            Fraction(float(values.flatten()[i]))
            for values in (lines.lower, lines.upper, lines.below, lines.above, z, middle, low, high)
        )
        for place in {start, min(max(start, Fraction(0)), end), end}:
            value = max(place, a * place)
            terms = abs(gives) + abs(lower * at) + abs(upper * at) + abs(start) + abs(end)
            little = terms / 2**51  # of the middle's sum
            assert lower * (place - at) + gives - below <= value + little
            assert upper * (place - at) + gives + above >= value - little


@pytest.mark.parametrize("relaxation", ["kw", "crown"])
@pytest.mark.parametrize("leak", [1e-9, 0.01, 0.3, 1 - 1e-9, 1.0])
def test_lines_of_leaking_units_hold_to_the_last_bit(leak: float, relaxation: Relaxation) -> None:
    """At the ends and at 0, where they could fail first, in exact arithmetic."""
    torch.manual_seed(0)
    scale = 10.0 ** torch.randint(-8, 8, (1, 400)).double()
    low = -torch.rand(1, 400).double() * scale
    high = torch.rand(1, 400).double() * 10.0 ** torch.randint(-8, 8, (1, 400)).double()
    z = low + (high - low) * torch.rand(1, 400)
    slope = torch.full((400,), leak, dtype=torch.float64)
    lines, middle = lines_of(z, low, high, relaxation, slope)
    _hold(lines, middle, low, high, z, leak)
    assert (lines.lower >= leak).all()
    assert (lines.upper >= leak).all()


@pytest.mark.parametrize("relaxation", ["kw", "crown"])
@pytest.mark.parametrize("leak", [0.0, 0.3, 1.0])
def test_level_lines_hold_to_the_last_bit(leak: float, relaxation: Relaxation) -> None:
    torch.manual_seed(1)
    ends = torch.randn(2, 1, 400).double() * 10.0 ** torch.randint(-8, 8, (2, 1, 400)).double()
    low = ends.amin(0)
    high = ends.amax(0)
    z = low + (high - low) * torch.rand(1, 400)
    slopes = torch.full((400,), leak, dtype=torch.float64)
    level = torch.rand(1, 400) < 0.5
    lines, middle = lines_of(z, low, high, relaxation, slopes, level=level)
    _hold(lines, middle, low, high, z, leak)
    assert bool((lines.upper[level] == 0).all())
    layer = Dense(torch.eye(400).double(), torch.zeros(400).double(), slopes)
    least = least_output(layer, low, lines, level)
    assert bool((least <= activated(layer, low)).all())


def test_a_bound_that_is_nan_settles_nothing() -> None:
    nan = torch.tensor([[torch.nan]])
    one = torch.ones(1, 1)
    assert crossing(nan, one).all()
    assert crossing(-one, nan).all()


@pytest.mark.parametrize("seed", range(20))
def test_rounding_never_puts_a_chord_below_the_relu(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    low, high = (torch.rand(1, 60, generator=draw).double() for _ in range(2))
    low = -low * 10.0 ** torch.randint(-6, 7, (1, 60), generator=draw)
    lines, _ = lines_of(torch.zeros_like(low), low, high, "kw")
    slopes = lines.upper[0].tolist()
    offsets = (2 * lines.above)[0].tolist()
    for a, b, slope, offset in zip(low[0].tolist(), high[0].tolist(), slopes, offsets, strict=True):
        chord = [Fraction(slope) * Fraction(end) + Fraction(offset) for end in (a, b)]
        assert chord[0] >= 0
        assert chord[1] >= Fraction(b)
        assert chord[1] <= Fraction(b) * (1 + Fraction(1, 2**45)) + Fraction(-a) / 2**45
