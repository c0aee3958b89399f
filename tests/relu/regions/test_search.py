"""Searches against brute force: tiny networks, all activation patterns, every cell solved."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.parsing import NORMS
from relu.classes import margins
from relu.network.architectures import build
from relu.network.layers import Layer, to_vectors
from relu.network.reader import read_layers
from relu.regions.complete import complete
from relu.regions.search import Found, search
from relu.threat import Norm, Threat
from tests.oracles import exact_radius

BOXES = ((0.0, 1.0), (-10.0, 11.0))  # the second is as good as none
BUDGETS = (0, 1, 2, 5, 12)
CHUNK = 50  # nets of a slow test


def draw(seed: int) -> tuple[nn.Sequential, Tensor]:
    """A net of 1 to 12 hidden units in 2 to 4 dimensions, and an input.

    Plain, or with what bites: ties (whole-numbered weights, inputs on a grid), twin units, dead
    units, no biases.
    """
    random = torch.Generator().manual_seed(seed)

    def one_of(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (1,), generator=random))

    d = one_of(2, 4)
    classes = one_of(2, 4)
    depth = one_of(1, 3)
    most = 12 if one_of(0, 3) == 0 else 7  # the oracle's time grows fast with the units
    widths = [d, *(one_of(1, most // depth) for _ in range(depth)), classes]
    kind = ("plain", "ties", "twins", "dead", "no biases")[one_of(0, 4)]
    modules: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layer = nn.Linear(n_in, n_out, dtype=torch.float64).requires_grad_(False)
        layer.weight.copy_(torch.randn(n_out, n_in, generator=random))
        layer.bias.copy_(torch.randn(n_out, generator=random) / 2)
        if kind == "ties":
            layer.weight.round_()
            layer.bias.round_()
        if kind == "twins" and n_out > 1:
            layer.weight[1] = layer.weight[0].clone()
            layer.bias[1] = layer.bias[0].clone()
        if kind == "dead":
            layer.weight[torch.rand(n_out, generator=random) < 0.3] = 0
        if kind == "no biases":
            layer.bias.zero_()
        modules += [layer, nn.ReLU()]
    x = torch.rand(1, d, generator=random).double()
    return nn.Sequential(*modules[:-1]), (x * 4).round() / 4 if one_of(0, 2) == 0 else x


def check(seed: int) -> bool:
    """Whether the network could be checked: its input must have a class of its own."""
    net, x = draw(seed)
    norm = sorted(NORMS)[seed % 3]
    box = BOXES[seed % 2]
    y = net(x).argmax(1)
    if not bool(margins(net(x), y) > 1e-9):
        return False
    weights = [(m.weight.numpy(), m.bias.numpy()) for m in net if isinstance(m, nn.Linear)]
    question = (weights, x[0].numpy(), int(y), norm, box)
    exact = exact_radius(*question)
    threat = Threat(norm=norm, eps=1.0, box=box)
    layers = read_layers(net, (x.shape[1],))
    low = 0.0
    found = None
    for neighbours in BUDGETS:
        found = search(layers, x, y, threat=threat, neighbours=neighbours)
        assert low <= float(found.low) <= exact * (1 + 1e-9) + 1e-9  # more never lowers low
        assert_witness(net, x, y, found, threat)
        assert float(found.high) >= exact - 1e-8
        low = float(found.low)
    assert found is not None
    found, finished = complete(layers, x, y, threat=threat, start=found, seconds=300)
    assert finished
    assert_witness(net, x, y, found, threat)
    if np.isinf(exact):
        assert float(found.low) == float(found.high) == np.inf
        return True
    assert exact - 1e-6 <= float(found.low) <= exact * (1 + 1e-9) + 1e-9
    # Where classes only ever tie, in a set without interior, no float need be a witness.
    if exact_radius(*question, lead=1e-5) < exact + 1e-3:
        assert exact - 1e-8 <= float(found.high) <= exact + 1e-6
    return True


def assert_witness(net: nn.Module, x: Tensor, y: Tensor, found: Found, threat: Threat) -> None:
    assert (found.low <= found.high).all()
    if found.high.isfinite():
        assert not bool(margins(net(found.point), y) > 0)
        assert threat.in_box(found.point).all()
        assert torch.equal(threat.distance(x, found.point), found.high)


@pytest.mark.parametrize("seed", range(40))
def test_bounds_hold_and_the_complete_search_is_exact(seed: int) -> None:
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(100, 1550, CHUNK))
def test_bounds_hold_and_the_complete_search_is_exact_on_a_thousand_nets(start: int) -> None:
    checked = [check(seed) for seed in range(start, start + CHUNK)]
    assert sum(checked) >= 0.5 * CHUNK


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("arch", ["fc_small", "cnn_small", "fc10"])
def test_larger_budgets_and_the_box_never_lower_low(arch: str, norm: Norm) -> None:
    torch.manual_seed(3)
    net = build(arch, (1, 8, 8), 6).double().requires_grad_(False)
    layers = read_layers(net, (1, 8, 8))
    x = to_vectors(layers, torch.rand(12, 1, 8, 8, dtype=torch.float64).round(decimals=1))
    y = net(x.view(-1, 1, 8, 8)).argmax(1)
    last = {box: torch.zeros(len(x), dtype=torch.float64) for box in BOXES}
    for neighbours in (0, 1, 3, 8):
        for box in BOXES:
            threat = Threat(norm=norm, eps=1.0, box=box)
            found = search(layers, x, y, threat=threat, neighbours=neighbours)
            assert (found.low >= last[box]).all()
            assert (found.low <= found.high).all()
            last[box] = found.low
        assert (last[BOXES[0]] >= last[BOXES[1]] * (1 - 1e-9)).all()


def problem(count: int, arch: str = "fc_small") -> tuple[Sequence[Layer], Tensor, Tensor]:
    """A random network, some inputs and the classes it gives them."""
    torch.manual_seed(count)
    net = build(arch, (1, 8, 8), 6).double().requires_grad_(False)
    x = torch.rand(count, 64, dtype=torch.float64)
    return read_layers(net, (1, 8, 8)), x, net(x.view(-1, 1, 8, 8)).argmax(1)


def test_a_misclassified_input_is_its_own_witness() -> None:
    (layers, x, y) = problem(2)
    threat = Threat(norm="l2", eps=1.0)
    y[0] = (y[0] + 1) % 6
    found = search(layers, x, y, threat=threat, neighbours=2)
    assert found.low[0] == found.high[0] == 0
    assert torch.equal(found.point[0], x[0])
    assert found.low[1] > 0


def test_parts_that_are_searched_apart_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    (layers, x, y) = problem(7)
    threat = Threat(norm="l2", eps=1.0)
    whole = search(layers, x, y, threat=threat, neighbours=3)
    monkeypatch.setattr("relu.regions.search.HELD", 1)
    assert torch.allclose(search(layers, x, y, threat=threat, neighbours=3).low, whole.low)


def test_inputs_are_judged_alike_alone_and_together() -> None:
    (layers, x, y) = problem(9, "cnn_small")
    threat = Threat(norm="l2", eps=1.0)
    together = search(layers, x, y, threat=threat, neighbours=4)
    for i in range(len(x)):
        alone = search(layers, x[i : i + 1], y[i : i + 1], threat=threat, neighbours=4)
        assert alone.low.item() == pytest.approx(together.low[i].item(), rel=1e-9)
        assert alone.high.item() == pytest.approx(together.high[i].item(), rel=1e-9)


def test_a_search_ends_where_enough_is_reached() -> None:
    (layers, x, y) = problem(5)
    threat = Threat(norm="linf", eps=1.0)
    far = search(layers, x, y, threat=threat, neighbours=9)
    near = search(layers, x, y, threat=threat, neighbours=9, enough=far.low / 2)
    assert (near.low >= far.low / 2).all()
    assert (near.low <= far.low).all()


def test_a_complete_search_that_runs_out_of_time_says_so_and_keeps_its_bound() -> None:
    (layers, x, y) = problem(1)
    threat = Threat(norm="linf", eps=1.0)
    start = search(layers, x, y, threat=threat, neighbours=0)
    found, finished = complete(layers, x, y, threat=threat, start=start, seconds=1e-9)
    assert not finished
    assert found.low >= start.low
