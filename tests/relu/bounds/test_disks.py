"""What branch and bound gains where units lie in an l2 ball together."""

import pytest
import torch
from torch import Tensor, nn

from relu.bounds.alpha_crown import relaxations
from relu.bounds.ball import ball_of
from relu.bounds.branching.deadline import Deadline
from relu.bounds.branching.search import Search
from relu.bounds.lipschitz import largest_singular_values
from relu.bounds.reduced.boxes import boxes_of, crown_slopes
from relu.bounds.reduced.disks import gains
from relu.bounds.reduced.dual import coupled_bounds, safe_bounds
from relu.bounds.reduced.forms import Disk, Forms
from relu.bounds.reduced.network import ReducedNetwork, reduced_network
from relu.classes import others
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.threat import Threat

UNITS = 3
L2 = Threat(norm="l2", eps=1.0)


def network(draw: torch.Generator, units: int = UNITS) -> ReducedNetwork:
    """One layer of units that are pixels themselves, in a box and a ball about the same size."""
    center = torch.randn(units, generator=draw, dtype=torch.float64)
    low = center - 0.2 - torch.rand(units, generator=draw, dtype=torch.float64)
    high = center + 0.2 + torch.rand(units, generator=draw, dtype=torch.float64)
    identity = torch.eye(units, dtype=torch.float64)
    ones = torch.ones(units, dtype=torch.float64)
    leak = torch.where(torch.rand(units, generator=draw) < 0.3, 0.25, 0.0).double()
    return ReducedNetwork(
        deltas=ball_of(0 * ones.view(1, units), L2, box=False).deltas,
        which=(torch.arange(units),),
        hidden=(Forms(identity, center, ones),),
        logits=Forms(identity, 0 * ones, ones),
        low=low,
        high=high,
        leak=leak,
        maxima=torch.zeros(units, dtype=torch.bool),
        disks=(Disk(center, torch.tensor(0.7, dtype=torch.float64)),),
        total=1.0,
        unit=1e-15,
    )


def points(net: ReducedNetwork, draw: torch.Generator, count: int = 20000) -> Tensor:
    """Of box and ball; and corners, centers and kinks among them."""
    (disk,) = net.disks
    assert disk is not None
    way = torch.randn(count, UNITS, generator=draw, dtype=torch.float64)
    way = way / way.norm(dim=1, keepdim=True)
    far = disk.radius * torch.rand(count, 1, generator=draw, dtype=torch.float64).clamp_max(0.99)
    z = disk.center + way * torch.where(torch.rand(count, 1, generator=draw) < 0.5, 0.999, far)
    z = z.clamp(net.low, net.high)
    kinks = torch.where(torch.rand(count, UNITS, generator=draw) < 0.2, 0.0, z)
    z = torch.cat([z, kinks.clamp(net.low, net.high)])
    return z[(z - disk.center).norm(dim=1) <= disk.radius]


@pytest.mark.parametrize("seed", range(30))
def test_sums_over_box_and_ball_are_bounded_from_below(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    net = network(draw)
    v, multipliers = torch.randn(2, UNITS, 1, generator=draw, dtype=torch.float64)
    z = points(net, draw)
    outputs = torch.where(z > 0, z, net.leak * z)
    values = outputs @ v - z @ multipliers
    low, high = net.low.unsqueeze(1), net.high.unsqueeze(1)
    ends = torch.stack([low, torch.zeros_like(low).clamp(low, high), high])
    terms = torch.where(ends > 0, ends, net.leak.unsqueeze(1) * ends) * v - multipliers * ends
    terms = terms.amin(0)
    gain = gains(net, terms, v, multipliers, low, high, unit=1e-15)
    assert float(gain) >= 0
    assert float(terms.sum() + gain) <= float(values.min()) + 1e-12
    assert float(terms.sum() + gain) >= float(values.min()) - 0.25  # and not by far


def test_bounds_count_what_is_gained_and_disks_may_be_none() -> None:
    draw = torch.Generator().manual_seed(0)
    net = network(draw)
    without = ReducedNetwork(**{**vars(net), "disks": (None,)})
    asked = Forms(
        torch.cat([torch.zeros(1, UNITS), -torch.ones(1, UNITS)], 1).double(),
        torch.zeros(1, dtype=torch.float64),
        torch.ones(1, dtype=torch.float64),
    )
    boxes = boxes_of(net.low.unsqueeze(1), net.high.unsqueeze(1), net.leak)
    multipliers = torch.zeros(UNITS, 1, dtype=torch.float64)
    alone, coupled = (
        safe_bounds(one, asked, boxes.low, boxes.high, multipliers) for one in (without, net)
    )
    assert float(coupled) > float(alone) + 0.1
    quick = coupled_bounds(net, asked, boxes, multipliers)
    assert float(quick) == pytest.approx(float(coupled), abs=1e-9)
    assert (crown_slopes(boxes.low, boxes.high).alpha >= 0).all()


def test_open_domains_of_wide_networks_have_higher_bounds() -> None:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 200), nn.ReLU(), nn.Linear(200, 200))
    net = nn.Sequential(*net, nn.ReLU(), nn.Linear(200, 4)).double().requires_grad_(False)
    layers = read_layers(net, (1, 8, 8))
    x = to_vectors(layers, torch.rand(1, 1, 8, 8, dtype=torch.float64))
    y = int(net(x.view(1, 1, 8, 8)).argmax())
    ball = ball_of(x, L2)
    largest = largest_singular_values(layers, squarings=8)
    bounds = []
    for values in (largest, None):
        found = relaxations(layers, ball, values)[-1]
        sides = [(low[0], high[0]) for low, high in found.bounds]
        couplings = [lines.coupling for lines in found.lines]
        reduced = reduced_network(layers, ball, sides, None, couplings)
        rivals = others(torch.tensor([y]), 4)[0]
        search = Search(reduced, y, rivals, lambda delta: False, Deadline.after(60))
        bounds.append(search.result(3).bound)
    assert bounds[0] > bounds[1] + 0.01
