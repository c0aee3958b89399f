"""Ensemble of attacks at eps, as AutoAttack [CH20a]: APGD, FAB and Square until they run dry."""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Predicate
from torch import Tensor, nn

from evaluators._growth import is_growth, wider
from evaluators._outcomes import worked_on
from evaluators.interface import Evidence, Interval, certified_at
from relu.attacks import apgd, fab, square
from relu.attacks.pgd import random_point
from relu.attacks.witness import CLEAR_IN_FLOAT32, clearly_adversarial, closer
from relu.batching import at_once, groups
from relu.classes import Images, Labels
from relu.network.reader import in_float64
from relu.ranges import checked_dataclass
from relu.threat import Threat

Attack = Callable[[Tensor], Tensor]
"""from rows to a point for each of them, adversarial or not"""
ROUNDING = 2.0**-18  # of eps: what attacks in float32 may leave the ball by


@checked_dataclass
class Ensemble:
    """Several attacks one after the other, each on the inputs that those before did not fool.

    They are APGD, on the cross-entropy and on targeted ratios of differences of logits; FAB; and
    Square. Targets, of the ratios and of FAB, are the likeliest other classes. steps: of APGD,
    fab_steps: of FAB (0: none), each a forward and a backward pass; square_steps: of Square (0:
    none), forward passes. All are asked once; then come rounds, of `restarts` of APGD and one of
    the others, until one finds nothing, `rounds` are over, or the inputs asked about have taken
    `seconds` of CPU time each, which is looked at between attacks. Inputs that others certify at
    eps are spared the rounds. growth: inputs without any witness are attacked once at growth * eps,
    growth^2 * eps, ..., from where the last attack ended (1: never). bisection_steps: on the
    segment from x to the witness, for a closer one.
    """

    label: ClassVar[str] = "ensemble"
    aliases: ClassVar[tuple[str, ...]] = ("autoattack", "auto-attack", "apgd")
    resource: ClassVar[Literal["gpu", "cpu"]] = "gpu"
    cost: ClassVar[int] = 25
    shard: ClassVar[int] = 250

    steps: Annotated[int, Ge(1)] = 100
    restarts: Annotated[int, Ge(1)] = 4
    targets: Annotated[int, Ge(1)] = 5
    fab_steps: Annotated[int, Ge(0)] = 50
    square_steps: Annotated[int, Ge(0)] = 500
    rounds: Annotated[int, Ge(0)] = 5
    seconds: Annotated[float, Gt(0)] = 2.0
    growth: Annotated[float, Predicate(is_growth)] = 1.5
    bisection_steps: Annotated[int, Ge(0)] = 10

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        return None

    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        search = _Search(self, net, x, y, threat)
        # Whatever is certified at eps, as a witness would refute it.
        at_eps = known.inexact & (known.high > float(threat.eps))
        search.at_eps(at_eps.nonzero().squeeze(1), certified_at(known.low, float(threat.eps)))
        beyond = known.high.isinf() & search.without_witness
        search.beyond(beyond.nonzero().squeeze(1))
        search.bring_closer()
        return Evidence(
            low=torch.zeros(len(x), dtype=torch.float64, device=x.device),
            witness=search.witness,
            **worked_on(at_eps | beyond),
        )


class _Search:
    """The attacks on a batch of inputs.

    witness: the nearest that they found; last: where they ended; targets: the likeliest classes.
    """

    def __init__(self, settings: Ensemble, net: nn.Module, x: Tensor, y: Tensor, threat: Threat):
        self.settings = settings
        self.net = net
        self.exact_net = in_float64(net)
        self.x = x
        self.y = y
        self.threat = threat
        self.witness = torch.full_like(x, torch.nan)
        self.last = x.clone()
        with torch.no_grad():
            self.targets = apgd.likeliest(net(x), y, settings.targets)

    @property
    def without_witness(self) -> Tensor:
        return self.witness.flatten(1)[:, 0].isnan()

    def at_eps(self, rows: Tensor, certified: Tensor) -> None:
        """All attacks once on some inputs, then rounds of them on those that nobody certifies."""
        end = time.process_time() + self.settings.seconds * len(rows)
        rows = self._round(rows, end, restarts=1)
        rows = rows[~certified[rows]]
        for _ in range(self.settings.rounds):
            before = len(rows)
            rows = self._round(rows, end, restarts=self.settings.restarts, again=True)
            if len(rows) == before:
                break

    def _round(self, rows: Tensor, end: float, *, restarts: int, again: bool = False) -> Tensor:
        """The rows that are not fooled by any attack until the end."""
        for attack in self._attacks(restarts, again=again):
            if not len(rows) or time.process_time() >= end:
                break
            rows = self._after(attack, rows, self.threat)
        return rows

    def beyond(self, rows: Tensor) -> None:
        """One ascent in each of the growing balls, from where the one before ended."""
        for ball in wider(self.threat, self.x, self.settings.growth):
            rows = self._after(partial(self._apgd, "margin", ball=ball, on=True), rows, ball)

    def bring_closer(self) -> None:
        rows = (~self.without_witness).nonzero().squeeze(1)
        self.witness[rows] = closer(
            self.exact_net,
            self.x[rows],
            self.y[rows],
            self.witness[rows],
            steps=self.settings.bisection_steps,
            clear=CLEAR_IN_FLOAT32,
        )

    def _attacks(self, restarts: int, *, again: bool) -> Iterator[Attack]:
        for _ in range(restarts):
            yield partial(self._apgd, "ce", ball=self.threat)
            yield partial(self._apgd, "dlr", ball=self.threat, targeted=True)
        yield partial(self._fab, again=again)
        yield self._square

    def _after(self, attack: Attack, rows: Tensor, ball: Threat) -> Tensor:
        """Keeps an attack's witnesses; the rows that are not fooled in a ball."""
        size = at_once(self.x.device) // (math.prod(self.x.shape[1:]) * self.targets.shape[1])
        left = [rows[:0]]
        for part in groups(len(rows), size):
            some = rows[part]
            z = attack(some)
            near = ball.length(z - self.x[some]) <= float(ball.eps) * (1 + ROUNDING)
            z[near] = ball.inside(self.x[some[near]], z[near])
            good = clearly_adversarial(self.exact_net, z, self.y[some])
            self._keep(some[good], z[good])
            left.append(some[~(good & near)])
        return torch.cat(left)

    def _keep(self, rows: Tensor, z: Tensor) -> None:
        """Takes up witnesses that are nearer than those known."""
        known = self.threat.distance(self.x[rows], self.witness[rows]).nan_to_num(torch.inf)
        better = self.threat.distance(self.x[rows], z) < known
        self.witness[rows[better]] = z[better]

    def _apgd(
        self,
        loss: apgd.Loss,
        rows: Tensor,
        *,
        ball: Threat,
        targeted: bool = False,
        on: bool = False,
    ) -> Tensor:
        z, _ = apgd.ascend(
            self.net,
            self.x[rows],
            self.y[rows],
            threat=ball,
            steps=self.settings.steps,
            loss=loss,
            targets=self.targets[rows] if targeted else None,
            start=self.last[rows] if on else None,
            clear=CLEAR_IN_FLOAT32,
        )
        self.last[rows] = z
        return z

    def _fab(self, rows: Tensor, *, again: bool) -> Tensor:
        """From x, and again from half the way to a random point [CH20b]."""
        x = self.x[rows]
        return fab.nearest_adversarial(
            self.net,
            x,
            self.y[rows],
            threat=self.threat,
            targets=self.targets[rows],
            steps=self.settings.fab_steps,
            start=x.lerp(random_point(x, self.threat, None), 0.5) if again else x,
            clear=CLEAR_IN_FLOAT32,
        )[0]

    def _square(self, rows: Tensor) -> Tensor:
        return square.search(
            self.net,
            self.x[rows],
            self.y[rows],
            threat=self.threat,
            steps=self.settings.square_steps,
            clear=CLEAR_IN_FLOAT32,
        )[0]
