"""The descent and the search behind the Carlini-Wagner attack."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from relu.attacks import carlini_wagner
from relu.attacks.carlini_wagner import nearest_adversarial
from relu.classes import margins
from relu.network.reader import in_float64
from relu.threat import Threat
from tests.strategies import seeds, tiny_nets

LinearNet = Callable[[Tensor, Tensor], nn.Sequential]
SETTINGS: dict[str, Any] = {
    "box": (0.0, 1.0),
    "steps": 200,
    "binary_search_steps": 9,
    "lr": 0.01,
    "constant": 0.1,
}


def found(net: nn.Module, x: Tensor, y: Tensor, **changes: Any) -> tuple[Tensor, Tensor]:
    return nearest_adversarial(net, x, y, **SETTINGS | changes)


class Counting(nn.Module):
    """A network that counts how often it is asked."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.net(x)


@pytest.mark.parametrize("box", [(0.0, 1.0), (-1.0, 3.0)])
def test_on_a_linear_network_it_comes_near_the_closed_form(
    linear_net: LinearNet, box: tuple[float, float]
) -> None:
    weight = torch.tensor([[3.0, -4.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, -8.0]])
    net = linear_net(weight, torch.tensor([1.0, 0.0, 1.0])).double()
    x = torch.tensor([[0.5, 0.5, 0.5], [0.5, 0.55, 0.45], [0.52, 0.48, 0.5]]).double()
    y = net(x).argmax(1)
    gap = net(x)[torch.arange(3), y].unsqueeze(1) - net(x)
    normal = torch.linalg.vector_norm(weight[y].unsqueeze(1) - weight, dim=2)
    radius = (gap / normal).nan_to_num(torch.inf).amin(1)
    z, hit = found(net, x, y, box=box, constant=1e-3)
    high = (z - x).norm(dim=1)
    assert hit.all()
    assert (high >= radius).all()
    assert (high <= 1.02 * radius).all()


def test_a_short_first_step_reaches_near_boundaries_of_grey_images(linear_net: LinearNet) -> None:
    weight = torch.randn(2, 3072, generator=torch.Generator().manual_seed(0))
    x = torch.full((3, 3072), 0.5)
    radius = torch.tensor([0.03, 0.1, 0.4])
    normal = weight[0] - weight[1]
    x = x + radius.unsqueeze(1) * normal / normal.norm()
    net = linear_net(weight, torch.stack([-0.5 * normal.sum(), torch.tensor(0.0)]))
    high = {}
    for first_step in (torch.inf, 0.2):
        z, hit = found(
            net,
            x,
            torch.zeros(3, dtype=torch.long),
            lr=0.1,
            binary_search_steps=6,
            first_step=first_step,
        )
        assert hit.all()
        high[first_step] = (z - x).norm(dim=1) / radius
    assert (high[0.2] < 1.02).all()
    assert (high[torch.inf] > 1.02).all()
    assert high[torch.inf][0] > 2  # where the first step is a hundred times too long


@settings(max_examples=15, deadline=None)
@given(drawn=tiny_nets(), seed=seeds)
def test_what_it_finds_lies_in_the_box_and_fools(
    drawn: tuple[nn.Sequential, int], seed: int
) -> None:
    net, d = drawn
    x = torch.rand(4, d, generator=torch.Generator().manual_seed(seed)).round(decimals=1)
    y = net(x).argmax(1)
    z, hit = found(net, x, y, steps=60, binary_search_steps=4, lr=0.1)
    assert Threat(norm="l2", eps=1.0).in_box(z).all()
    assert (margins(net(z[hit]), y[hit]) <= 0).all()
    assert torch.equal(z[~hit], x[~hit])


def test_a_point_at_the_edge_does_not_round_out_of_the_box(linear_net: LinearNet) -> None:
    # f = (0, x1 - x2 - 1/2); the first step is so long that tanh is 1
    net = linear_net(torch.tensor([[0.0, 0.0], [1.0, -1.0]]), torch.tensor([0.0, -0.5]))
    x = torch.tensor([[0.5, 0.5]])
    y = torch.zeros(1, dtype=torch.long)
    for box in ((-i / 10, 1 + j / 10) for i in range(6) for j in range(6)):
        z, hit = found(net, x, y, box=box, lr=20.0, steps=2, binary_search_steps=1)
        assert hit.all()
        assert Threat(norm="l2", eps=1.0, box=box).in_box(z).all(), box


def test_an_inputs_result_is_its_own_whatever_its_batch(digits_net: nn.Sequential) -> None:
    net = in_float64(digits_net)
    x = torch.rand(6, 1, 8, 8, dtype=torch.float64)
    y = net(x).argmax(1)
    few: dict[str, Any] = {"steps": 50, "binary_search_steps": 3, "lr": 0.1}
    together, hits = found(net, x, y, **few)
    apart = [found(net, x[i : i + 1], y[i : i + 1], **few) for i in range(6)]
    assert hits.any()
    assert hits.tolist() == [bool(hit) for _, hit in apart]
    assert torch.allclose(together, torch.cat([z for z, _ in apart]), atol=1e-9)


def test_a_constant_network_finds_nothing_and_ends(linear_net: LinearNet) -> None:
    net = Counting(linear_net(torch.zeros(2, 4), torch.tensor([1.0, 0.0])))
    x = torch.rand(3, 4)
    y = torch.zeros(3, dtype=torch.long)
    z, hit = found(net, x, y, steps=200, binary_search_steps=20)
    assert not hit.any()
    assert torch.equal(z, x)
    assert net.calls <= 20 * 40  # each search ends at its second check: nothing is gained


@pytest.mark.parametrize(("steps", "taken"), [(1, 1), (7, 7), (25, 24), (60, 60)])
def test_steps_need_not_be_divisible_by_ten(
    linear_net: LinearNet, monkeypatch: pytest.MonkeyPatch, steps: int, taken: int
) -> None:
    monkeypatch.setattr(carlini_wagner, "COARSE", 1.0)
    # the distance grows from check to check less than the margin falls: no search ends early
    net = Counting(linear_net(torch.tensor([[0.0, 0.0], [10.0, 10.0]]), torch.tensor([19.9, 0.0])))
    x = torch.full((1, 2), 0.1)
    y = torch.zeros(1, dtype=torch.long)
    found(net, x, y, steps=steps, binary_search_steps=1, constant=100.0)
    assert net.calls == taken


def test_one_step_of_one_search_finds_what_is_misclassified(linear_net: LinearNet) -> None:
    net = linear_net(torch.tensor([[0.0], [1.0]]), torch.tensor([0.5, 0.0]))
    x = torch.tensor([[0.4], [0.6]])
    y = torch.zeros(2, dtype=torch.long)
    z, hit = found(net, x, y, steps=1, binary_search_steps=1)
    assert hit.tolist() == [False, True]
    assert torch.allclose(z, x, atol=1e-5)


def test_without_inputs_there_is_nothing_to_find(digits_net: nn.Sequential) -> None:
    z, hit = found(digits_net, torch.rand(0, 1, 8, 8), torch.zeros(0, dtype=torch.long))
    assert len(z) == len(hit) == 0
