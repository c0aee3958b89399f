"""Carlini-Wagner attack [CW17]: the smallest l2 perturbation, by gradient descent."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import nn

from evaluators._outcomes import worked_on
from evaluators.interface import Evidence, Interval
from relu.attacks.carlini_wagner import nearest_adversarial
from relu.attacks.witness import closer, outward
from relu.classes import Images, Labels
from relu.errors import InputError
from relu.network.reader import in_float64
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


@dataclass(frozen=True, kw_only=True)
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
    renamed: ClassVar[Mapping[str, str]] = {
        "searches": "binary_search_steps",
        "halvings": "bisection_steps",
    }
    shard: ClassVar[int] = 250

    preset: Literal["paper", "fast"] = "paper"
    steps: int | None = None
    binary_search_steps: int | None = None
    lr: float | None = None
    first_step: float | None = None
    constant: float | None = None
    bisection_steps: int = 20

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise InputError(f"cw.preset must be {' or '.join(PRESETS)}, got {self.preset!r}")
        for name in Preset._fields:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"cw.{name} must be a positive number, got {value}")
        if self.bisection_steps < 0:
            raise InputError(f"cw.bisection_steps must be at least 0, got {self.bisection_steps}")

    @property
    def effort(self) -> Preset:
        """The settings in force: those given, the others by the preset."""
        given = {n: v for n in Preset._fields if (v := getattr(self, n)) is not None}
        return PRESETS[self.preset]._replace(**given)

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        return None if threat.norm == "l2" else "an attack for l2 alone"

    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        witness = torch.full_like(x, torch.nan, dtype=torch.float64)
        rows = known.inexact.nonzero().squeeze(1)
        if len(rows):
            exact_net = in_float64(net)
            some = x[rows]
            label = y[rows]
            z, found = nearest_adversarial(
                net, some, label, box=threat.box, **self.effort._asdict()
            )
            z, rows, some, label = (t[found] for t in (z, rows, some, label))
            z = outward(exact_net, some.double(), label, z.double(), threat.box)
            witness[rows] = closer(exact_net, some.double(), label, z, steps=self.bisection_steps)
        return Evidence(
            low=torch.zeros(len(x), dtype=torch.float64, device=x.device),
            witness=witness,
            **worked_on(known.inexact),
        )
