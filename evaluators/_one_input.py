"""One input and its network, as exact evaluators look at it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from evaluators._replies import UNDECIDED, Found
from evaluators.interface import DECIDED, Evidence, Interval, Status
from relu.attacks.witness import adversarial
from relu.bounds.ball import Ball, ball_of
from relu.classes import Images, Labels, margins, others
from relu.network.layers import Layer, Shape, to_images, to_vectors
from relu.network.reader import in_float64, read_layers
from relu.threat import Threat

LOGIT_ROUNDING = 1e-12  # of a network's logits in float64


@dataclass(frozen=True, eq=False)
class Input:
    """One input and its network, in float64."""

    net: nn.Module
    layers: tuple[Layer, ...]
    x: Tensor
    y: int
    shape: Shape
    threat: Threat

    def images(self, z: Tensor) -> Tensor:
        """Points as the network takes them."""
        return to_images(self.layers, z, self.shape)

    def ball(self, radius: float) -> Ball:
        """The ball around it, in the box."""
        eps = torch.tensor([radius], dtype=torch.float64)
        return ball_of(self.x.unsqueeze(0), self.threat, eps=eps)

    @property
    def label(self) -> Tensor:
        return torch.tensor([self.y])

    def other_classes(self, classes: int) -> list[int]:
        """All classes but the label."""
        return [int(s) for s in others(self.label, classes)[0]]

    @property
    def reach(self) -> float:
        """How far the farthest point of the box is."""
        return float(self.threat.farthest(self.x.unsqueeze(0)))

    def distance(self, z: Tensor) -> float:
        """Of a point from the input, rounded up."""
        return float(self.threat.distance(self.x.unsqueeze(0), z.unsqueeze(0)))

    def other_class(self, z: Tensor) -> int:
        """The likeliest class at a point but the label."""
        logits = self.logits(z)
        logits[self.y] = -torch.inf
        return int(logits.argmax())

    def descent(self, z: Tensor, other_class: int) -> Tensor:
        """The step of length 1 (in the threat's norm) on which the margin falls fastest."""
        with torch.enable_grad():
            free = z.clone().requires_grad_()
            logits = self.net(self.images(free.unsqueeze(0)))[0]
            slope: Tensor = torch.autograd.grad(logits[self.y] - logits[other_class], free)[0]
        norm = self.threat.p_norm
        if norm.objective == "sum":  # one pixel moves: one that can
            low, high = self.threat.box
            slope = slope * torch.where(slope > 0, z > low, z < high)
        return -norm.aligned(slope.unsqueeze(0))[0]

    def logits(self, z: Tensor) -> Tensor:
        """Of one point."""
        logits: Tensor = self.net(self.images(z.unsqueeze(0)))[0]
        return logits

    def margin(self, z: Tensor) -> Tensor:
        """The smallest margin of each point; 0 where it is within what logits are rounded by."""
        logits: Tensor = self.net(self.images(z))
        least = margins(logits, self.label.expand(len(z)))
        size = logits.abs().amax(1)
        return torch.where(
            (least < 0) & (least > -LOGIT_ROUNDING * size), torch.zeros_like(least), least
        )


Search = Callable[[Input, float, float], Found]
"""what is found of an input, of whose radius others say that it is at least, and at most"""


def one_by_one(
    net: nn.Module,
    x: Images,
    y: Labels,
    search: Search,
    *,
    threat: Threat,
    known: Interval,
    wanted: Bool[Tensor, " n"],
) -> Evidence:
    """Evidence of a search for each of the wanted inputs; its witnesses are decided here again."""
    low = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    seconds = torch.zeros_like(low)
    witness = torch.full_like(x, torch.nan).double()
    outcome = [DECIDED] * len(x)
    status: list[Status] = ["skipped"] * len(x)
    rows = wanted.nonzero().squeeze(1).tolist()
    if rows:
        exact_net = in_float64(net)
        shape = tuple(x.shape[1:])
        layers = read_layers(exact_net, shape)
        inputs = to_vectors(layers, x.double())
    for i in rows:
        started = time.perf_counter()
        problem = Input(exact_net, layers, inputs[i], int(y[i]), shape, threat.at(i))
        if bool(margins(problem.logits(problem.x).unsqueeze(0), problem.label) <= 0):
            found = Found(0.0, problem.x, "done: misclassified", "done")
        else:
            found = search(problem, float(known.low[i]), float(known.high[i]))
        low[i] = found.low
        outcome[i] = found.outcome
        status[i] = found.status
        if found.point is not None:
            image = problem.images(found.point.unsqueeze(0))
            if bool(adversarial(exact_net, image, y[i : i + 1])):
                witness[i] = image[0]
            else:  # within a solver's tolerances alone
                outcome[i] = UNDECIDED
                status[i] = "undecided"
        seconds[i] = time.perf_counter() - started
    low = threat.saturated(x, low)
    return Evidence(low=low, witness=witness, outcome=outcome, seconds=seconds, status=status)
