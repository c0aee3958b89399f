"""Questions in VNN-LIB hold the whole ball, and hardly more."""

import re
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.data.questions import PLACES, question, rounded_down, rounded_up
from relu.errors import InputError
from relu.threat import Threat

UNIT = Fraction(1, 10**PLACES)
NUMBER = r"-?\d+\.\d+"


def box_of(text: str) -> tuple[list[Fraction], list[Fraction]]:
    """The edges that a question says, in order."""
    edges = []
    for sign in (">=", "<="):
        found = re.findall(rf"^\(assert \({sign} X_(\d+) ({NUMBER})\)\)$", text, flags=re.MULTILINE)
        assert [int(place) for place, _ in found] == list(range(len(found)))
        edges.append([Fraction(number) for _, number in found])
    low, high = edges
    return low, high


@given(st.floats(-3, 3), st.sampled_from([1, 1e-5, 1e-12, 1e-20]))
def test_edges_are_rounded_outward_to_decimals(value: float, scale: float) -> None:
    exact = Fraction(value) * Fraction(scale)
    below, above = rounded_down(exact), rounded_up(exact)
    for text in (below, above):
        assert re.fullmatch(NUMBER, text)
    assert exact - UNIT < Fraction(below) <= exact <= Fraction(above) < exact + UNIT


@pytest.mark.parametrize("box", [(0.0, 1.0), (-1.0, 2.0)])
@pytest.mark.parametrize("eps", [0.1, 4 / 255, 1e-7, 0.3])
def test_the_box_is_the_ball_s_within_the_threat_s(eps: float, box: tuple[float, float]) -> None:
    threat = Threat(norm="linf", eps=eps, box=box)
    x = torch.cat([torch.tensor([0.0, 1.0, 1 / 3]), torch.rand(60), torch.tensor([0.5])])
    low, high = box_of(question(x.view(1, 8, 8), 3, 10, threat, "a question"))
    assert len(low) == len(high) == 64
    for value, least, most in zip(x.tolist(), low, high, strict=True):
        exact_low = max(Fraction(value) - Fraction(eps), Fraction(box[0]))
        exact_high = min(Fraction(value) + Fraction(eps), Fraction(box[1]))
        assert exact_low - UNIT < least <= exact_low
        assert exact_high <= most < exact_high + UNIT
    if box == (0.0, 1.0):
        assert low[0] == 0
        assert high[1] == 1


def test_a_question_is_whole() -> None:
    threat = Threat(norm="linf", eps=0.25)
    text = question(torch.tensor([[0.5], [1.0]]), 1, 3, threat, "a question")
    assert text == (
        "; a question\n"
        "(declare-const X_0 Real)\n"
        "(declare-const X_1 Real)\n"
        "(declare-const Y_0 Real)\n"
        "(declare-const Y_1 Real)\n"
        "(declare-const Y_2 Real)\n"
        "(assert (>= X_0 0.25))\n"
        "(assert (<= X_0 0.75))\n"
        "(assert (>= X_1 0.75))\n"
        "(assert (<= X_1 1.0))\n"
        "(assert (or\n"
        "    (and (>= Y_0 Y_1))\n"
        "    (and (>= Y_2 Y_1))\n"
        "))\n"
    )


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_other_balls_are_no_boxes(norm: str) -> None:
    threat = Threat(norm=norm, eps=0.25)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="boxes only"):
        question(torch.rand(1, 2, 2), 0, 2, threat, "")
