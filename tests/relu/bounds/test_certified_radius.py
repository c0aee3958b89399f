"""Certified radii: float32 only searches, float64 decides."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.parsing import NORMS
from relu.bounds.certified_radius import Prover, certified
from relu.network.layers import Layer
from relu.threat import Norm, Threat

LINF = Threat(norm="linf", eps=0.1)
RADIUS = torch.tensor([0.05, 0.1, 0.3, 0.0], dtype=torch.float64)


def network() -> nn.Sequential:
    """Class 0 wins everywhere, by 1."""
    layer = nn.Linear(1, 2)
    layer.load_state_dict({"weight": torch.zeros(2, 1), "bias": torch.tensor([1.0, 0.0])})
    return nn.Sequential(nn.Flatten(), layer).requires_grad_(False)


def by_number(shift32: float = 0.0) -> Prover:
    """Certifies input i (its only pixel) up to RADIUS[i], in float32 with a shift."""

    def prove(layers: tuple[Layer, ...], x: Tensor, y: Tensor, eps: Tensor) -> Tensor:
        exact = layers[0].like.dtype == torch.float64
        radius = RADIUS[x.squeeze(1).long()] + (0.0 if exact else shift32)
        return radius - eps.double() + 1e-12  # closed balls count

    return prove


def found(prove: Prover, high: Tensor, bisection_steps: int, low: Tensor | None = None) -> Tensor:
    x = torch.arange(4.0).unsqueeze(1)
    y = torch.zeros(4, dtype=torch.long)
    low = torch.zeros_like(high) if low is None else low
    return certified(
        network(), x, y, prove, threat=LINF, low=low, high=high, bisection_steps=bisection_steps
    )


def test_the_question_at_eps_is_answered_with_eps_itself() -> None:
    high = torch.full((4,), torch.inf).double()
    assert found(by_number(), high, 0).tolist() == [0.0, 0.1, 0.1, 0.0]


def test_bisection_comes_close_from_below() -> None:
    high = torch.full((4,), torch.inf).double()
    low = found(by_number(), high, 20)
    assert (low <= RADIUS + 1e-9).all()
    assert torch.allclose(low, RADIUS, atol=1e-5)
    assert low[1] == 0.1


def test_no_radius_reaches_what_is_known_to_be_fooled() -> None:
    high = torch.tensor([0.04, 0.08, 0.2, 0.1]).double()
    low = found(by_number(), high, 12)
    assert (low <= high).all()
    assert torch.allclose(low, torch.tensor([0.04, 0.08, 0.2, 0.0]).double(), atol=1e-4)


def test_what_others_certify_is_neither_repeated_nor_a_reason_to_prove_less() -> None:
    high = torch.full((4,), torch.inf).double()
    known = torch.tensor([0.06, 0.2, 0.2, 0.0]).double()
    low = found(by_number(), high, 10, low=known)
    assert torch.allclose(low, found(by_number(), high, 10), rtol=2**-15)
    assert low[0] < known[0]
    assert low[1] < known[1]
    assert known[2] < low[2] <= 0.3 + 1e-9


@pytest.mark.parametrize("shift", [1.0, 1e-4, -0.005])
def test_a_float32_that_errs_costs_radius_but_never_soundness(shift: float) -> None:
    high = torch.full((4,), 0.35).double()
    low = found(by_number(shift), high, 12)
    assert (low <= RADIUS + 1e-9).all()
    if shift != 1.0:
        assert low[2] >= 0.25


def test_nothing_is_asked_where_nothing_is_open() -> None:
    def never(layers: tuple[Layer, ...], x: Tensor, y: Tensor, eps: Tensor) -> Tensor:
        raise AssertionError

    assert found(never, torch.zeros(4).double(), 5).tolist() == [0.0] * 4


@pytest.mark.parametrize("norm", NORMS)
def test_the_search_ends_at_the_size_of_the_box(
    norm: Norm, linear_net: Callable[[Tensor, Tensor], nn.Sequential]
) -> None:
    asked = []

    def always(layers: tuple[Layer, ...], x: Tensor, y: Tensor, eps: Tensor) -> Tensor:
        asked.append(float(eps.max()))
        return torch.ones_like(eps)

    net = linear_net(torch.zeros(2, 4), torch.tensor([1.0, 0.0])).requires_grad_(False)
    x = torch.rand(2, 4)
    y = torch.zeros(2, dtype=torch.long)
    zero = torch.zeros(2).double()
    inf = torch.full((2,), torch.inf).double()
    threat = Threat(norm=norm, eps=0.1)
    low = certified(net, x, y, always, threat=threat, low=zero, high=inf, bisection_steps=20)
    assert max(asked) <= {"linf": 1.0, "l2": 2.0, "l1": 4.0}[norm]
    assert (low > {"linf": 0.99, "l2": 1.99, "l1": 3.99}[norm]).all()
