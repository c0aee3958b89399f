"""Branch and bound: bounds by any multipliers, their gradients, trees of proofs, answers."""

import itertools
from collections import defaultdict
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from relu.bounds.alpha_crown import relaxations
from relu.bounds.ball import Ball, ball_of
from relu.bounds.branching.deadline import Deadline
from relu.bounds.branching.domains import Leaf, Split, Step
from relu.bounds.branching.refinement import refined
from relu.bounds.branching.root import decided
from relu.bounds.branching.search import Search
from relu.bounds.branching.splitting import best_splits, split_boxes
from relu.bounds.linear import margin_lower_bounds
from relu.bounds.reduced.ascent import ascended, limited
from relu.bounds.reduced.boxes import Slopes, boxes_of, crown_slopes
from relu.bounds.reduced.dual import (
    bounded,
    minimiser,
    safe_bounds,
    true_points,
    with_level_lines,
)
from relu.bounds.reduced.forms import Forms
from relu.bounds.reduced.network import ReducedNetwork, reduced_network
from relu.bounds.reduced.precisions import outward
from relu.classes import gaps, margins, others
from relu.network.architectures import build
from relu.network.layers import Layer, to_images, to_vectors
from relu.network.reader import in_float64, read_layers
from relu.norms import NORMS
from relu.threat import Norm, Threat

SHAPE = (1, 8, 8)
ARCHITECTURES = ("fc_small", "cnn_small", "resnet", "cnn_pool", "cnn_leaky")
EPS = {"linf": 0.05, "l2": 0.4, "l1": 1.5}


class Question:
    """A network around one random input."""

    def __init__(self, arch: str, norm: Norm, seed: int = 0, scale: float = 1.0) -> None:
        torch.manual_seed(seed)
        self.net: nn.Module = in_float64(build(arch, SHAPE, 4, seed=seed))
        self.net.requires_grad_(False)
        self.layers: tuple[Layer, ...] = read_layers(self.net, SHAPE)
        self.radius = EPS[norm] * scale
        self.threat = Threat(norm=norm, eps=self.radius)
        self.image = torch.rand(1, *SHAPE, dtype=torch.float64)
        self.x = to_vectors(self.layers, self.image)
        self.y = int(self.net(self.image).argmax())

    @property
    def ball(self) -> Ball:
        return ball_of(self.x, self.threat)

    @property
    def others(self) -> Tensor:
        return others(torch.tensor([self.y]), 4)[0]

    @property
    def reduced(self) -> ReducedNetwork:
        found = relaxations(self.layers, self.ball)[-1].hidden
        bounds = [(hidden.low[0], hidden.high[0]) for hidden in found]
        level = [None if hidden.level is None else hidden.level[0] for hidden in found]
        return reduced_network(self.layers, self.ball, bounds, level)

    def samples(self, count: int) -> Tensor:
        """Points of the ball, many of them at its edges."""
        d = self.x.shape[1]
        moves = self.threat.p_norm.random(count, d, self.x, None)
        moves[::2] = self.threat.p_norm.aligned(torch.randn(len(moves[::2]), d).double())
        x = self.x.expand_as(moves)
        return self.threat.inside(x, self.threat.project(x, x + self.radius * moves))

    def is_witness(self, delta: Tensor) -> bool:
        z = self.threat.inside(self.x, self.ball.center + delta.double())
        image = to_images(self.layers, z, SHAPE)
        return bool(margins(self.net(image), torch.tensor([self.y])) <= 0)


@pytest.fixture(params=ARCHITECTURES)
def arch(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.mark.parametrize("norm", NORMS)
def test_forms_are_the_network(arch: str, norm: Norm) -> None:
    question = Question(arch, norm)
    net = question.reduced
    z = question.samples(50)
    points = true_points(net, (z - question.ball.center).T)
    logits = question.net(to_images(question.layers, z, SHAPE))
    torch.testing.assert_close(net.logits.forward(points).T, logits, rtol=1e-12, atol=1e-12)


def test_sizes_are_at_least_what_terms_add_up_to(arch: str) -> None:
    """Of the reduced forms: less than of the network, whose terms may cancel on the way."""
    question = Question(arch, "linf")
    net = question.reduced
    deltas = question.ball.deltas
    largest = net.low.abs().maximum(net.high.abs())
    most = torch.cat([deltas.up[0].maximum(deltas.down[0]), largest])
    for forms in (*net.hidden, net.logits):
        terms = forms.rows.abs() @ most[: forms.rows.shape[1]] + forms.offset.abs()
        assert bool((forms.size >= terms * (1 - 1e-12)).all())
    assert bool((net.size >= largest).all())


@pytest.mark.parametrize("norm", NORMS)
def test_crown_slopes_give_crown_bounds(arch: str, norm: Norm) -> None:
    question = Question(arch, norm)
    net = question.reduced
    crown = margin_lower_bounds(
        relaxations(question.layers, question.ball)[-1], torch.tensor([question.y])
    )[0]
    low = net.low.unsqueeze(1).repeat(1, 3)
    high = net.high.unsqueeze(1).repeat(1, 3)
    asked = net.margins(question.y, question.others)
    boxes = boxes_of(low, high, net.leak)
    slopes = with_level_lines(net, asked, boxes, crown_slopes(low, high))
    found = bounded(net, asked, boxes, slopes)
    torch.testing.assert_close(found.bound, crown, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_any_multipliers_give_a_bound(arch: str, norm: Norm) -> None:
    question = Question(arch, norm)
    net = question.reduced
    asked = net.margins(question.y, question.others)
    low = net.low.unsqueeze(1).repeat(1, 3)
    high = net.high.unsqueeze(1).repeat(1, 3)
    z = question.samples(400)
    least = gaps(
        question.net(to_images(question.layers, z, SHAPE)), torch.full((len(z),), question.y)
    ).amin(0)
    start = bounded(net, asked, boxes_of(low, high, net.leak), crown_slopes(low, high))
    for size in (0.0, 0.01, 0.3, 3.0):
        multipliers = start.multipliers + size * torch.randn_like(start.multipliers)
        proven = safe_bounds(net, asked, low, high, multipliers)
        assert bool((proven <= least).all())
        if size == 0:
            assert bool((proven > start.bound - 1e-6 * (1 + start.bound.abs())).all())


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_only_units_that_may_switch_are_split(scale: float) -> None:
    question = Question("fc_small", "linf")
    net = question.reduced.to(torch.float32)
    count = len(net.low)
    draw = torch.Generator().manual_seed(0)
    low, high = (side.unsqueeze(1).repeat(1, 20) for side in (net.low, net.high))
    for column in range(20):  # one or two units are open
        kept = torch.randperm(count, generator=draw)[: 1 + column % 2]
        closed = torch.ones(count, dtype=torch.bool).index_fill(0, kept, False)
        low[closed, column] = 0.0
    boxes = boxes_of(low, high, net.leak)
    rivals = others(torch.tensor([question.y]), 4)[0][:1]
    margins = net.margins(question.y, rivals)
    asked = Forms(scale * margins.rows, scale * margins.offset, scale * margins.size)
    asked = asked.at(torch.zeros(20, dtype=torch.long))
    slopes = crown_slopes(boxes.low, boxes.high)
    v = bounded(net, asked, boxes, slopes).v
    units = best_splits(net, asked, boxes, slopes, v)
    assert boxes.open.gather(0, units.unsqueeze(0)).all()


def test_the_bound_of_one_unit_is_the_least_on_its_box() -> None:
    """f = v a, z = delta + c: min of v a - lambda z over the box, + min of lambda (delta + c)."""
    torch.manual_seed(0)
    radius = 2.0
    for _ in range(200):
        v, c, multiplier = (float(value) for value in torch.randn(3, dtype=torch.float64))
        low, high = torch.randn(2, dtype=torch.float64).sort().values.unsqueeze(1)
        leak = float(torch.randint(4, (1,))) / 4
        one = torch.ones(1, dtype=torch.float64)
        net = ReducedNetwork(
            deltas=ball_of(0 * one.view(1, 1), Threat(norm="linf", eps=radius), box=False).deltas,
            which=(torch.tensor([0]),),
            hidden=(Forms(one.view(1, 1), c * one, one),),
            logits=Forms(one.view(1, 1), one, one),
            low=low,
            high=high,
            leak=leak * one,
            maxima=torch.zeros(1, dtype=torch.bool),
            disks=(None,),
            total=1.0,
            unit=0.0,
        )
        asked = Forms(torch.tensor([[0.0, v]], dtype=torch.float64), 0 * one, one)
        sides = (low.view(1, 1), high.view(1, 1), multiplier * one.view(1, 1))
        z = torch.linspace(float(low), float(high), 1001, dtype=torch.float64)
        z = torch.cat([z, z.clamp(0, 0).clamp(float(low), float(high))])
        least = (v * torch.where(z > 0, z, leak * z) - multiplier * z).min()
        expected = float(least) + multiplier * c - radius * abs(multiplier)
        assert float(safe_bounds(net, asked, *sides)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_room_for_rounding_covers_forms_that_are_off(seed: int) -> None:
    """Every number of every form off by a part of itself, the same as if it had been rounded so."""
    question = Question("cnn_small", "linf", seed)
    net = question.reduced
    asked = net.margins(question.y, question.others)
    low = net.low.unsqueeze(1).repeat(1, 3)
    high = net.high.unsqueeze(1).repeat(1, 3)
    start = bounded(net, asked, boxes_of(low, high, net.leak), crown_slopes(low, high))
    unit = 1e-3

    def off(values: Tensor, signs: Tensor) -> Tensor:
        return values * (1 + unit * signs)

    def off_forms(forms: Forms, upwards: Tensor) -> Forms:
        """Rounded so that a positive multiplier gains."""
        up = upwards.sign().unsqueeze(1)
        rows = forms.rows * (1 + unit * up * torch.sign(forms.rows))
        return Forms(rows, off(forms.offset, upwards.sign() * forms.offset.sign()), forms.size)

    for rival, factor in itertools.product(range(3), (1, 50)):
        multipliers = factor * start.multipliers[:, rival : rival + 1]
        hidden = tuple(
            off_forms(forms, multipliers[part, 0])
            for forms, part in zip(net.hidden, net.slices, strict=True)
        )
        worse = replace(net, hidden=hidden, unit=unit)
        one = asked.at(torch.tensor([rival]))
        raised = off_forms(one, torch.ones(1, dtype=torch.float64))
        column = slice(rival, rival + 1)
        true = safe_bounds(net, one, low[:, column], high[:, column], multipliers)
        proven = safe_bounds(worse, raised, low[:, column], high[:, column], multipliers)
        assert float(proven) <= float(true)


@pytest.mark.parametrize("norm", NORMS)
def test_ascent_climbs_along_the_gradients(arch: str, norm: Norm) -> None:
    """Differences of the bound along alpha are what its minimiser says."""
    question = Question(arch, norm)
    net = question.reduced
    asked = net.margins(question.y, question.others)
    low = net.low.unsqueeze(1).repeat(1, 3)
    high = net.high.unsqueeze(1).repeat(1, 3)
    boxes = boxes_of(low, high, net.leak)
    slopes = Slopes(torch.rand_like(low), torch.zeros_like(low))
    found = bounded(net, asked, boxes, slopes)
    at = minimiser(net, boxes, slopes, found)
    gradient = torch.where(boxes.open, found.v.clamp_min(0) * at.z * (1 - boxes.leak), 0.0)
    move = 1e-7 * torch.randn_like(low)
    beyond = bounded(net, asked, boxes, Slopes(slopes.alpha + move, slopes.beta))
    torch.testing.assert_close(
        beyond.bound - found.bound, (gradient * move).sum(0), rtol=1e-3, atol=1e-11
    )
    climbed = ascended(net, asked, boxes, slopes, steps=20)
    assert bool((climbed.bound >= found.bound).all())
    assert bool((climbed.bound > found.bound).any())


def test_refined_bounds_hold_and_are_tighter(arch: str) -> None:
    question = Question(arch, "linf")
    net = question.reduced
    tighter = refined(net, Deadline.after(60.0))
    points = true_points(net, (question.samples(400) - question.ball.center).T)
    for part, forms in zip(net.slices, net.hidden, strict=True):
        z = forms.forward(points[: net.d + part.start])
        assert bool((z >= tighter.low[part].unsqueeze(1)).all())
        assert bool((z <= tighter.high[part].unsqueeze(1)).all())
    assert bool((tighter.low >= net.low).all())
    assert float((tighter.high - tighter.low).sum()) < float((net.high - net.low).sum())


def test_outward_never_moves_inwards() -> None:
    values = torch.randn(1000, dtype=torch.float64) * 10.0 ** torch.randint(-40, 30, (1000,))
    low, high = outward(values, values)
    assert bool((low.double() <= values).all())
    assert bool((high.double() >= values).all())


def closed_again(net: ReducedNetwork, y: int, rivals: Tensor, leaf: Leaf) -> bool:
    """Whether a leaf's steps and multipliers prove it, followed from the whole ball."""
    asked = net.margins(y, rivals[leaf.rival : leaf.rival + 1])
    low, high = (edge.unsqueeze(1) for edge in outward(net.low, net.high))
    for step in leaf.steps:
        if isinstance(step, Split):
            boxes = boxes_of(low, high, net.leak.float())
            part = split_boxes(boxes, torch.tensor([step.unit]), step.active)
            low = part.low
            high = part.high
            continue
        k = len(step.units)
        signs = torch.ones(2 * k, dtype=torch.float64)
        signs[k:] = -1
        forms = net.units(step.units.repeat(2), signs)
        own = torch.zeros(2 * k, dtype=torch.long)
        forms = limited(forms, asked.at(own), step.margin.double())
        proven = safe_bounds(
            net, forms, low.double()[:, own], high.double()[:, own], step.multipliers.double()
        )
        exact_low = low.double()
        exact_high = high.double()
        exact_low[step.units, 0] = exact_low[step.units, 0].maximum(proven[:k])
        exact_high[step.units, 0] = exact_high[step.units, 0].minimum(-proven[k:])
        low, high = outward(exact_low, exact_high)
    if leaf.multipliers is None:
        return bool((low > high).any())
    multipliers = leaf.multipliers.double().unsqueeze(1)
    return bool(safe_bounds(net, asked, low.double(), high.double(), multipliers) > 0)


def covers(paths: list[tuple[Split, ...]]) -> bool:
    """Whether domains with these splits are all of the tree that the splits grow."""
    if len(paths) == 1 and not paths[0]:
        return True
    parts = defaultdict(list)
    for path in paths:
        if not path:
            return False
        parts[path[0]].append(path[1:])
    units = {split.unit for split in parts}
    return len(units) == 1 and len(parts) == 2 and all(covers(part) for part in parts.values())


def splits(steps: tuple[Step, ...]) -> tuple[Split, ...]:
    return tuple(step for step in steps if isinstance(step, Split))


@pytest.mark.parametrize("norm", NORMS)
def test_leaves_are_a_proof(norm: Norm) -> None:
    certified = 0
    deepest = 0
    for seed in range(16):
        question = Question("fc_small", norm, seed)
        net = question.reduced
        search = Search(
            net, question.y, question.others, question.is_witness, Deadline.after(20.0), keep=True
        )
        result = search.result()
        if result.verdict != "certified":
            continue
        certified += 1
        deepest = max(deepest, *(len(splits(leaf.steps)) for leaf in result.leaves))
        for rival in range(len(question.others)):
            leaves = [leaf for leaf in result.leaves if leaf.rival == rival]
            assert covers([splits(leaf.steps) for leaf in leaves])
        for leaf in result.leaves:
            assert closed_again(net, question.y, question.others, leaf)
        spoilt = [leaf for leaf in result.leaves if leaf.multipliers is not None]
        wrong = replace(spoilt[0], multipliers=-10 * torch.ones_like(net.low))
        assert not closed_again(net, question.y, question.others, wrong)
    assert certified >= 3
    assert deepest >= 1


def test_a_search_splits_where_bounds_do_not_do() -> None:
    domains = []
    for seed in range(6):
        question = Question("fc_small", "linf", seed, scale=2.0)
        result = decided(
            question.layers, question.ball, question.y, question.is_witness, Deadline.after(20.0)
        )
        assert result.verdict in ("certified", "witness")
        if result.verdict == "witness":
            assert result.delta is not None
            assert question.is_witness(result.delta)
        domains.append(result.domains)
    assert max(domains) > 3


def test_time_that_is_over_is_a_timeout() -> None:
    question = Question("resnet", "linf", scale=20.0)
    result = decided(
        question.layers, question.ball, question.y, lambda delta: False, Deadline.after(0.0)
    )
    assert result.verdict == "timeout"
