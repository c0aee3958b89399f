"""PGD attack [MMSTV18] at eps, and beyond it until every input has a witness."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Predicate
from torch import Tensor, nn

from evaluators._growth import is_growth, wider
from evaluators._outcomes import worked_on
from evaluators.interface import Evidence, Interval
from relu.attacks.pgd import Loss, ascend
from relu.attacks.witness import clearly_adversarial, closer
from relu.classes import Images, Labels
from relu.network.reader import in_float64
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class Pgd:
    """Projected gradient ascent from random starts; the closest witness of each input is kept.

    steps, restarts: iterations of 2 eps / steps each, and how often an input starts (again)
    while it is not fooled. loss: what is ascended, "margin" (largest other logit minus the
    label's) or "ce". growth: inputs not fooled at eps are attacked once more at growth * eps,
    growth^2 * eps, ... up to the size of the box, for a finite radius, each time from where the
    last attack ended (1: never). bisection_steps:
    bisection steps on the segment from x to the witness that bring it closer.
    """

    label: ClassVar[str] = "PGD"
    resource: ClassVar[Literal["gpu", "cpu"]] = "gpu"
    cost: ClassVar[int] = 10
    eps_per_input: ClassVar[bool] = True
    renamed: ClassVar[Mapping[str, str]] = {"halvings": "bisection_steps"}

    steps: Annotated[int, Ge(1)] = 40
    restarts: Annotated[int, Ge(1)] = 2
    loss: Loss = "margin"
    growth: Annotated[float, Predicate(is_growth)] = 1.5
    bisection_steps: Annotated[int, Ge(0)] = 10

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        return None

    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        exact_net = in_float64(net)
        witness = torch.full_like(x, torch.nan)
        last = x.clone()

        def attack(rows: Tensor, threat: Threat, start: Tensor | None = None) -> Tensor:
            """Starts once for each of x[rows] and keeps witnesses; the rows not fooled."""
            if not len(rows):
                return rows
            z, fooled = ascend(
                net,
                x[rows],
                y[rows],
                threat=threat.at(rows),
                steps=self.steps,
                start=None if start is None else start[rows],
                loss=self.loss,
                leave_when_fooled=True,
            )
            z = threat.at(rows).inside(x[rows], z)
            last[rows] = z
            fooled &= clearly_adversarial(exact_net, z, y[rows])
            witness[rows[fooled]] = z[fooled]
            return rows[~fooled]

        # Whatever is certified there: a witness would refute it.
        at_eps = known.high > threat.each(x)
        rows = at_eps.nonzero().squeeze(1)
        for _ in range(self.restarts):
            rows = attack(rows, threat)
        beyond = known.high.isinf() & witness.flatten(1)[:, 0].isnan()
        rows = beyond.nonzero().squeeze(1)
        for ball in wider(threat, x, self.growth):
            rows = attack(rows, ball, start=last)
        rows = (~witness.flatten(1)[:, 0].isnan()).nonzero().squeeze(1)
        witness[rows] = closer(
            exact_net, x[rows], y[rows], witness[rows], steps=self.bisection_steps
        )
        return Evidence(
            low=torch.zeros(len(x), dtype=torch.float64),
            witness=witness,
            **worked_on(at_eps | beyond),
        )
