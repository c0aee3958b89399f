"""Carlini-Wagner attack [CW17]: the smallest l2 perturbation, by gradient descent."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from annotated_types import Ge, Gt
from torch import nn

from evaluators._outcomes import worked_on
from evaluators.interface import Evidence, Interval
from relu.attacks.carlini_wagner import nearest_adversarial
from relu.attacks.witness import closer, outward
from relu.classes import Images, Labels
from relu.network.reader import in_float64
from relu.ranges import checked_dataclass
from relu.threat import Threat


class Preset(NamedTuple):
    """What a preset says of the settings that are left to it."""

    steps: int
    binary_search_steps: int
    lr: float
    first_step: float
    constant: float


PRESETS: Mapping[str, Preset] = {
    "paper": Preset(
        steps=10_000, binary_search_steps=20, lr=0.01, first_step=math.inf, constant=0.001
    ),
    "fast": Preset(steps=200, binary_search_steps=6, lr=0.1, first_step=0.2, constant=0.1),
}


@checked_dataclass
class Cw:
    """Descent on distance and margin from x, for a constant between them that is searched.

    preset: "paper", the settings of [CAH19, Appendix B] (10000 steps, 20 searches, lr 0.01,
    constant 0.001), or "fast", for daily use (200, 6, 0.1, 0.1), a hundred times cheaper. steps:
    of Adam per value of the constant, fewer where the loss stands still;
    binary_search_steps: values of the constant, the first of which is `constant`; lr: Adam's,
    lowered per input until its first step is no longer than first_step (l2; "paper": any length,
    "fast": 0.2), as grey images of many pixels would otherwise overshoot. Each of them goes before
    the preset.
    bisection_steps: bisection steps on the segment from x to the witness that bring it closer.
    """

    label: ClassVar[str] = "CW"
    aliases: ClassVar[tuple[str, ...]] = ("carlini-wagner", "carlini", "c&w")
    resource: ClassVar[Literal["gpu", "cpu"]] = "gpu"
    cost: ClassVar[int] = 32
    eps_per_input: ClassVar[bool] = True
    renamed: ClassVar[Mapping[str, str]] = {
        "searches": "binary_search_steps",
        "halvings": "bisection_steps",
    }
    shard: ClassVar[int] = 250

    preset: Literal["paper", "fast"] = "paper"
    steps: Annotated[int, Gt(0)] | None = None
    binary_search_steps: Annotated[int, Gt(0)] | None = None
    lr: Annotated[float, Gt(0)] | None = None
    first_step: Annotated[float, Gt(0)] | None = None
    constant: Annotated[float, Gt(0)] | None = None
    bisection_steps: Annotated[int, Ge(0)] = 20

    @property
    def effort(self) -> Preset:
        """The settings in force: those given, the others by the preset."""
        overrides = {n: v for n in Preset._fields if (v := getattr(self, n)) is not None}
        return PRESETS[self.preset]._replace(**overrides)

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        return None if threat.norm == "l2" else "an attack for l2 alone"

    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        witness = torch.full_like(x, torch.nan, dtype=torch.float64)
        rows = known.inexact.nonzero().squeeze(1)
        if len(rows):
            exact_net = in_float64(net)
            images = x[rows]
            label = y[rows]
            z, fooled = nearest_adversarial(
                net, images, label, box=threat.box, **self.effort._asdict()
            )
            z, rows, images, label = (t[fooled] for t in (z, rows, images, label))
            z = outward(exact_net, images.double(), label, z.double(), threat.box)
            witness[rows] = closer(exact_net, images.double(), label, z, steps=self.bisection_steps)
        return Evidence(
            low=torch.zeros(len(x), dtype=torch.float64, device=x.device),
            witness=witness,
            **worked_on(known.inexact),
        )
