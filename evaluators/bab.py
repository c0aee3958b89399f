"""Exact answers by branch and bound with dual bounds (relu/bounds/branching)."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Gt
from torch import Tensor, nn

from evaluators._linear_regions import LINEAR, Regions
from evaluators._one_input import Input, one_by_one
from evaluators._radius_search import RadiusSearch
from evaluators._replies import ENDS, Found, Reply
from evaluators.interface import Evidence, Interval
from relu.attacks.region_attack import walk
from relu.attacks.witness import CLEAR, adversarial
from relu.bounds.branching.deadline import Allowance, Deadline
from relu.bounds.branching.root import decided
from relu.bounds.coupling import COUPLED
from relu.bounds.lipschitz import largest_singular_values
from relu.classes import Images, Labels
from relu.network.reader import in_float64, read_layers, refusal
from relu.ranges import checked_dataclass
from relu.threat import Threat

SQUARINGS = 8  # of Gram matrices, for the layers' largest singular values
DEEPER = 0.1  # of the time is for what is lowest in linear regions
USUAL = 0.2  # seconds that this takes
ROUNDS = 20  # of a walk from linear region to linear region towards the input
NEIGHBOURS = 8  # regions beside its own that each round of the walk looks at


@checked_dataclass
class Bab:
    """Branch and bound: each input's ball is split until every part is proven, or a witness found.

    mode: "decide" whether there is an adversarial input within eps, or find the "radius". seconds:
    CPU seconds that each input may take ("timeout").
    """

    label: ClassVar[str] = "BaB"
    aliases: ClassVar[tuple[str, ...]] = ("branch-and-bound", "beta-crown")
    resource: ClassVar[Literal["gpu", "cpu"]] = "cpu"
    cost: ClassVar[int] = 35
    shard: ClassVar[int] = 20
    step: ClassVar[int] = 1
    eps_per_input: ClassVar[bool] = True

    mode: Literal["decide", "radius"] = "decide"
    seconds: Annotated[float, Gt(0)] = 120.0

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        return refusal(net)

    @torch.no_grad()
    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        radius = self.mode == "radius"
        wanted = known.unsettled if radius else known.straddles(threat.each(x))
        largest = None
        if threat.norm in COUPLED and bool(wanted.any()):
            exact = read_layers(in_float64(net), tuple(x.shape[1:]))
            largest = largest_singular_values(exact, squarings=SQUARINGS)
        found = partial(self._found, largest)
        return one_by_one(net, x, y, found, threat=threat, known=known, wanted=wanted)

    def _found(
        self, largest: Sequence[float] | None, problem: Input, low: float, high: float
    ) -> Found:
        deadline = Deadline.after(self.seconds)
        eps = float(problem.threat.eps)
        if self.mode == "decide":
            reply = _ask(problem, eps, deadline, largest)
            words, status = ENDS[reply.status]
            return Found(_certified(problem, eps, reply), reply.point, words, status)
        search = RadiusSearch(first=eps, reach=problem.reach, known=low, high=high)
        while not deadline.passed and (radius := search.next_radius()) is not None:
            reply = _ask(problem, radius, Deadline.after(deadline.left / 2), largest)
            search.take(radius, reply, partial(_nearer, problem))
        return search.result(late=deadline.passed)


def _ask(
    problem: Input, radius: float, deadline: Deadline, largest: Sequence[float] | None = None
) -> Reply:
    """Whether a ball holds an adversarial input. largest: singular values of its layers."""
    ball = problem.ball(min(radius, problem.reach))
    threat = replace(problem.threat, eps=radius)

    def point(delta: Tensor) -> Tensor:
        """The input that belongs to a perturbation of the center, inside ball and box."""
        z = ball.center + delta.double().unsqueeze(0)
        return threat.inside(problem.x.unsqueeze(0), z)

    def is_witness(delta: Tensor) -> bool:
        return bool(adversarial(problem.net, problem.images(point(delta)), problem.label))

    regions = Regions(problem, radius) if problem.threat.norm in LINEAR else None
    allowance = Allowance(DEEPER, usual=USUAL)

    def deeper(delta: Tensor, other_class: int) -> Tensor | None:
        """From a perturbation down to where a margin is least in its linear region."""
        if regions is None or not allowance.left:
            return None
        with allowance.spending():
            z = regions.lowest(point(delta)[0], other_class)
        return None if z is None else z - ball.center[0]

    result = decided(
        problem.layers, ball, problem.y, is_witness, deadline, largest=largest, deeper=deeper
    )
    return Reply(result.verdict, None if result.delta is None else point(result.delta)[0])


def _certified(problem: Input, radius: float, reply: Reply) -> float:
    if reply.status != "certified":
        return 0.0
    return math.inf if radius >= problem.reach else radius


def _nearer(problem: Input, z: Tensor) -> tuple[Tensor, float]:
    """An adversarial input no farther from the input, and its distance."""
    point = walk(
        problem.net,
        problem.x.unsqueeze(0),
        problem.label,
        z.unsqueeze(0),
        shape=problem.shape,
        threat=problem.threat,
        rounds=ROUNDS,
        neighbours=NEIGHBOURS,
        clear=CLEAR,
    )[0]
    return point, problem.distance(point)
