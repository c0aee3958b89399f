"""Every effort of branch and bound gives the exact answer, and bounds that hold where they must."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from relu.bounds.alpha_crown import relaxations
from relu.bounds.ball import Ball, ball_of
from relu.bounds.branching import root
from relu.bounds.branching.deadline import Deadline
from relu.bounds.branching.refinement import crossed, refined_where
from relu.bounds.branching.root import Effort, decided
from relu.bounds.branching.search import Search
from relu.bounds.reduced.dual import true_points
from relu.bounds.reduced.network import ReducedNetwork, reduced_network
from relu.classes import margins, others
from relu.network.reader import read_layers
from relu.norms import NORMS
from relu.threat import Norm, Threat
from tests.oracles import exact_radius

SEEDS = (4, 12)  # of networks that have adversarial inputs
NEVER = 1  # domains of a search that is to end open
SMALL = Effort(0, 3.0, math.inf, NEVER)
EFFORTS = {
    "apart": (SMALL,),
    "trees": (SMALL, Effort(4, 3.0, math.inf, NEVER), Effort(8, 3.0, math.inf, 10_000)),
    "where trees do not pay": (SMALL, Effort(1, 1e9, 0.0, NEVER)),
}


class Question:
    """A small network, an input, and the radius of its nearest adversarial input."""

    def __init__(self, seed: int, norm: Norm) -> None:
        torch.manual_seed(seed)
        widths = [3, 8, 6]
        parts: list[nn.Module] = []
        for before, size in itertools.pairwise(widths):
            parts += [nn.Linear(before, size), nn.ReLU()]
        self.net = nn.Sequential(*parts, nn.Linear(widths[-1], 4)).double().requires_grad_(False)
        self.layers = read_layers(self.net, (3,))
        self.x = torch.rand(1, 3, dtype=torch.float64)
        self.y = int(self.net(self.x).argmax())
        self.norm: Norm = norm
        pairs = [
            (part.weight.numpy(), part.bias.numpy())
            for part in self.net
            if isinstance(part, nn.Linear)
        ]
        self.radius = exact_radius(pairs, self.x[0].numpy(), self.y, norm)

    def threat(self, share: float) -> Threat:
        return Threat(norm=self.norm, eps=share * self.radius)

    def ball(self, share: float) -> Ball:
        return ball_of(self.x, self.threat(share))

    def reduced(self, share: float) -> ReducedNetwork:
        found = relaxations(self.layers, self.ball(share))[-1]
        bounds = [(low[0], high[0]) for low, high in found.bounds]
        return reduced_network(self.layers, self.ball(share), bounds)

    def margin(self, z: Tensor) -> Tensor:
        return margins(self.net(z), torch.full((len(z),), self.y))

    def answer(self, share: float) -> str:
        threat = self.threat(share)
        ball = self.ball(share)

        def is_witness(delta: Tensor) -> bool:
            z = threat.inside(self.x, ball.center + delta.double())
            return bool(self.margin(z) <= 0)

        return decided(self.layers, ball, self.y, is_witness, Deadline.after(20.0)).verdict


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("efforts", EFFORTS)
def test_every_effort_is_exact(efforts: str, norm: Norm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root, "TOGETHER", EFFORTS[efforts])
    monkeypatch.setattr(root, "SHORT", NEVER)
    monkeypatch.setattr(root, "DOMAINS", 10)
    for seed in SEEDS:
        question = Question(seed, norm)
        assert question.answer(0.97) == "certified", seed
        assert question.answer(1.03) == "witness", seed


@pytest.mark.parametrize("norm", NORMS)
def test_bounds_where_a_class_wins_hold_there(norm: Norm) -> None:
    held = 0
    closed = 0
    for seed in SEEDS:
        question = Question(seed, norm)
        for share in (0.9, 2.5):
            net = question.reduced(share)
            rivals = others(torch.tensor([question.y]), 4)[0]
            moves = question.threat(share).p_norm.random(2000, 3, question.x, None)
            z = question.threat(share).inside(
                question.x.expand_as(moves), question.x + question.threat(share).eps * moves
            )
            points = true_points(net, (z - question.ball(share).center).T)
            for rival in rivals.split(1):
                margin = net.margins(question.y, rival)
                won = (margin.forward(points)[0] <= 0).nonzero().squeeze(1)
                finer = refined_where(net, margin, Deadline.after(20.0), rounds=4)
                closed += crossed(finer)
                assert not (crossed(finer) and len(won))
                for part, forms in zip(net.slices, net.hidden, strict=True):
                    values = forms.forward(points[: net.d + part.start, won])
                    assert bool((values >= finer.low[part].unsqueeze(1)).all())
                    assert bool((values <= finer.high[part].unsqueeze(1)).all())
                held += len(won)
    assert held > 100
    assert closed > 0


def test_a_search_goes_on_where_it_stopped() -> None:
    question = Question(4, "linf")
    net = question.reduced(0.97)
    rivals = others(torch.tensor([question.y]), 4)[0]
    search = Search(net, question.y, rivals, lambda delta: False, Deadline.after(20.0))
    first = search.result(NEVER)
    assert first.verdict == "timeout"
    assert first.left
    last = search.result()
    assert last.verdict == "certified"
    at_once = Search(net, question.y, rivals, lambda delta: False, Deadline.after(20.0)).result()
    assert last.domains == at_once.domains


def test_what_is_open_is_not_certified(monkeypatch: pytest.MonkeyPatch) -> None:
    """A margin that is 0 within rounding has no proof, and no witness that is_witness accepts."""
    question = Question(4, "linf")
    monkeypatch.setattr(root, "TOGETHER", (SMALL,))
    monkeypatch.setattr(root, "SHORT", NEVER)
    ball = question.ball(1.0 + 1e-13)
    found = decided(question.layers, ball, question.y, lambda delta: False, Deadline.after(20.0))
    assert found.verdict == "open"
