"""KW and CROWN as evaluators: closed forms, their settings, and who proves more."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.data.datasets import DataSet
from bench.parsing import NORMS
from evaluators.crown import Crown
from evaluators.interface import Interval
from evaluators.kw import Kw
from relu.classes import margins
from relu.errors import InputError
from relu.threat import Norm, Threat

Judge = Kw | Crown


def unknown(net: nn.Module, x: Tensor, y: Tensor) -> Interval:
    wrong = margins(net(x), y) <= 0
    return Interval(
        low=torch.zeros(len(x)).double(), high=torch.where(wrong, 0.0, torch.inf).double()
    )


def lows(evaluator: Judge, net: nn.Module, x: Tensor, y: Tensor, threat: Threat) -> Tensor:
    return evaluator.judge(net, x, y, threat=threat, known=unknown(net, x, y)).low


@pytest.mark.parametrize(
    "evaluator", [Kw(bisection_steps=25, box=False), Crown(bisection_steps=25, box=False)]
)
@pytest.mark.parametrize("norm", NORMS)
def test_of_a_linear_classifier_they_find_the_radius(
    norm: Norm, evaluator: Judge, linear_net: Callable[[Tensor, Tensor], nn.Sequential]
) -> None:
    weight = torch.tensor([[1.0, -2.0, 0.5], [0.0, 1.0, 1.0]])
    net = linear_net(weight, torch.tensor([0.4, 0.0])).requires_grad_(False)
    x = torch.tensor([[0.9, 0.1, 0.2], [0.5, 0.4, 0.5], [0.0, 1.0, 1.0]])
    y = torch.tensor([0, 1, 0])
    gap = margins(net(x), y)
    row = weight[0] - weight[1]
    length = {"linf": row.abs().sum(), "l2": row.norm(), "l1": row.abs().max()}[norm]
    radius = (gap / length).clamp_min(0).double()
    found = lows(evaluator, net, x, y, Threat(norm=norm, eps=0.05))
    assert (found <= radius + 1e-6).all()
    assert torch.allclose(found, radius, atol=1e-5)
    assert found[2] == 0


@pytest.mark.parametrize("kind", [Kw, Crown])
@pytest.mark.parametrize("norm", NORMS)
def test_radii_hold_at_eps_grow_with_halvings_and_shrink_without_the_box(
    norm: Norm, kind: type[Judge], digits: DataSet, digits_net: nn.Sequential
) -> None:
    net = digits_net
    x = digits.x_test[:40]
    y = digits.y_test[:40]
    threat = Threat(norm=norm, eps={"linf": 0.02, "l2": 0.1, "l1": 0.3}[norm])
    at_eps = lows(kind(bisection_steps=0), net, x, y, threat)
    assert set(at_eps.tolist()) == {0.0, threat.eps}
    more = lows(kind(bisection_steps=6), net, x, y, threat)
    assert (more >= at_eps).all()
    assert (more > 0).sum() > (at_eps > 0).sum()
    free = lows(kind(bisection_steps=6, box=False), net, x, y, threat)
    assert free.mean() < more.mean()


def test_crown_certifies_what_kw_does_and_more(digits: DataSet, digits_net: nn.Sequential) -> None:
    net = digits_net
    threat = Threat(norm="linf", eps=0.05)
    x = digits.x_test[:200]
    y = digits.y_test[:200]
    kw = lows(Kw(bisection_steps=0), net, x, y, threat) > 0
    crown = lows(Crown(bisection_steps=0, iterations=0), net, x, y, threat) > 0
    alpha = lows(Crown(bisection_steps=0, iterations=20), net, x, y, threat) > 0
    assert (crown | ~kw).all()
    assert (alpha | ~crown).all()
    assert kw.sum() < crown.sum()
    assert kw.sum() < alpha.sum()


def test_what_is_known_spares_the_work(digits: DataSet, digits_net: nn.Sequential) -> None:
    net = digits_net
    threat = Threat(norm="linf", eps=0.02)
    x = digits.x_test[:4]
    y = digits.y_test[:4]
    known = Interval(
        low=torch.tensor([0.0, 0.02, 0.015, 0.0], dtype=torch.float64),
        high=torch.tensor([0.01, 0.05, 0.015, 0.0], dtype=torch.float64),
    )
    once = Kw(bisection_steps=0).judge(net, x, y, threat=threat, known=known)
    assert all(outcome.startswith("skipped") for outcome in once.outcome)
    again = Kw(bisection_steps=5).judge(net, x, y, threat=threat, known=known)
    assert [o.startswith("skipped") for o in again.outcome] == [False, False, True, True]
    assert again.low[0] <= 0.01
    assert again.low[1] == 0 or 0.02 < again.low[1] <= 0.05


@pytest.mark.parametrize("kind", [Kw, Crown])
def test_networks_outside_the_theory_are_refused_by_layer(kind: type[Judge]) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    assert "layer 2 (Tanh)" in str(kind().refusal(net, Threat(norm="l2", eps=0.1)))


@pytest.mark.parametrize("kind", [Kw, Crown])
def test_settings_out_of_range_are_refused(kind: type[Judge]) -> None:
    with pytest.raises(InputError, match=r"bisection_steps.*-1"):
        kind(bisection_steps=-1)
    with pytest.raises(InputError, match=r"crown\.iterations.*-2"):
        Crown(iterations=-2)
