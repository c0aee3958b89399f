"""The program of a network around an input: its points are the network's, and no unit too many."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from bench.parsing import NORMS
from relu.bounds.alpha_crown import relaxations
from relu.bounds.ball import ball_of
from relu.milp.encoding import SLACK, Encoding, encoding
from relu.milp.forms import SMALL, without_small
from relu.network.activation import crossing
from relu.network.architectures import build
from relu.network.layers import Layer, to_images, to_vectors
from relu.network.reader import in_float64, read_layers
from relu.threat import Norm, Threat

EPS: dict[Norm, float] = {"linf": 0.08, "l2": 0.4, "l1": 1.5}
SHAPE = (1, 8, 8)


def problem(arch: str) -> tuple[nn.Module, tuple[Layer, ...], Tensor]:
    torch.manual_seed(1)
    net = in_float64(build(arch, SHAPE, 10))
    x = torch.rand(1, *SHAPE, dtype=torch.float64).mul(1.4).sub(0.2).clamp(0, 1)
    layers = read_layers(net, SHAPE)
    return net, layers, to_vectors(layers, x)


def encoded(layers: tuple[Layer, ...], x: Tensor, threat: Threat, slack: float) -> Encoding:
    found = encoding(layers, x[0], threat, float(threat.eps), slack=slack)
    for low, high in relaxations(layers, ball_of(x, threat))[-1].bounds:
        found = found.beyond(low[0], high[0])
    return found


def inside(x: Tensor, threat: Threat, count: int = 200) -> Tensor:
    """Random points of ball and box, corners among them."""
    noise = torch.randn(count, x.shape[1], dtype=x.dtype)
    noise[::2] = noise[::2].sign()
    noise[::3] *= torch.rand_like(noise[::3]) < 0.1
    z = x + noise / threat.length(noise).clamp_min(1e-9).unsqueeze(1) * threat.eps
    return threat.inside(x.expand(count, -1), z)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("arch", ["fc_small", "cnn_small"])
@torch.no_grad()
def test_every_input_of_the_ball_is_a_point_of_the_program(arch: str, norm: Norm) -> None:
    net, layers, x = problem(arch)
    threat = Threat(norm=norm, eps=EPS[norm])
    found = encoded(layers, x, threat, SLACK)
    program = found.program()
    assert len(found.hidden) == len(layers) - 1
    assert sum(len(units.which) for units in found.hidden) > 5
    forms = [found.margin(3, s) for s in (0, 7)]
    for z in inside(x, threat):
        v = found.variables(z)
        assert program.violation(v) == 0
        assert torch.allclose(found.point(v), z, atol=1e-15)
        logits = net(to_images(layers, z.unsqueeze(0), SHAPE))[0]
        for s, (cost, offset, scale) in zip((0, 7), forms, strict=True):
            assert abs((cost @ v + offset) * scale - float(logits[3] - logits[s])) < 1e-10


@pytest.mark.parametrize("norm", NORMS)
@torch.no_grad()
def test_only_units_that_may_switch_cost_variables(norm: Norm) -> None:
    _, layers, x = problem("cnn_small")
    threat = Threat(norm=norm, eps=EPS[norm] / 3)
    bounds = relaxations(layers, ball_of(x, threat))[-1].bounds
    found = encoded(layers, x, threat, SLACK)
    open_ = sum(int(crossing(low, high).sum()) for low, high in bounds)
    program = found.program()
    moves = 64 * (2 if norm == "l1" else 1)
    assert 0 < open_ < sum(layer.size for layer in layers[:-1]) / 2
    assert program.whole.sum() == open_
    assert program.rows.shape == (3 * open_ + (norm == "l1"), moves + 3 * open_)


@torch.no_grad()
def test_all_variables_are_of_the_order_of_one_and_no_constraint_is_tight() -> None:
    net, layers, x = problem("fc_small")
    big = [layer.weight.mul_(1e3) for layer in net.modules() if isinstance(layer, nn.Linear)]
    assert len(big) == 3
    threat = Threat(norm="linf", eps=0.1)
    program = encoded(layers, x, threat, SLACK).program()
    assert max(abs(program.low).max(), abs(program.high).max()) <= 1 + SLACK
    v = encoded(layers, x, threat, SLACK).variables(x[0])
    moved = v.copy()
    moved[~program.whole] += SLACK / 4 / abs(program.rows).sum(1).max()
    assert program.violation(moved) == 0


@torch.no_grad()
def test_inputs_outside_the_ball_are_no_points_of_it() -> None:
    _, layers, x = problem("fc_small")
    for norm in NORMS:
        threat = Threat(norm=norm, eps=EPS[norm])
        found = encoded(layers, x, threat, SLACK)
        away = 0.5 - x
        far = x + 1.1 * threat.eps * away / threat.length(away)
        missed = found.program().violation(found.variables(far[0]))
        assert missed > 1e-3 or norm == "l2"  # whose ball is an objective


ROUGH = 1e-3  # a relative rounding error that shows


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(20))
@torch.no_grad()
def test_networks_within_rounding_are_points_of_the_program(
    seed: int, norm: Norm, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if float64 had three digits: another network, the same in these, must be covered as well.
    monkeypatch.setattr("relu.milp.encoding.gamma", lambda layers, d: ROUGH)
    monkeypatch.setattr("relu.bounds.linear.gamma", lambda layers, d: ROUGH)
    torch.manual_seed(seed)
    net = in_float64(build("fc_small", (1, 3, 3), 4))
    x = torch.rand(1, 9).double()
    threat = Threat(norm=norm, eps=EPS[norm])
    found = encoded(read_layers(net, (1, 3, 3)), x, threat, SLACK)
    for parameter in net.parameters():
        parameter.mul_(1 + ROUGH / 20 * (2 * torch.rand_like(parameter) - 1))
    other = replace(found, layers=read_layers(net, (1, 3, 3)))
    program = found.program()
    assert program.whole.any()
    margins = [found.margin(1, s) for s in (0, 2, 3)]
    for z in inside(x, threat, 30):
        v = other.variables(z)
        assert program.violation(v) == 0
        logits = net(z.view(1, 1, 3, 3))[0]
        for s, (cost, offset, scale) in zip((0, 2, 3), margins, strict=True):
            # what is asked of a solver leaves 2 SLACK of a margin to rounding
            assert cost @ v + offset <= float(logits[1] - logits[s]) / scale + SLACK


def test_coefficients_that_are_left_out_are_taken_off() -> None:
    rows = torch.full((1, 1000), SMALL / 2, dtype=torch.float64)
    rows[0, 0] = 1.0
    kept, lost = without_small(rows)
    assert kept.count_nonzero() == 1
    for v in (torch.ones(1000), -torch.ones(1000)):
        v = v.double()
        assert kept[0] @ v - lost <= rows[0] @ v
