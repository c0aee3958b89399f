"""Certificates from linear relaxation with parallel lines: the KW bound [WK18; Fast-Lin]."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge
from torch import nn

from evaluators._certificates import certificates, kw_prover
from evaluators.interface import Evidence, Interval
from relu.classes import Images, Labels
from relu.network.reader import refusal
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class Kw:
    """The largest radius that bisection finds at which the dual bound of all margins is positive.

    box: whether the ball is cut by the box, which makes the bound better; without it, the bound
    is the published one. bisection_steps: questions beyond the one at eps (0: that alone).
    """

    label: ClassVar[str] = "KW"
    aliases: ClassVar[tuple[str, ...]] = ("wong-kolter", "fast-lin", "dual")
    resource: ClassVar[Literal["gpu", "cpu"]] = "gpu"
    cost: ClassVar[int] = 15
    eps_per_input: ClassVar[bool] = True
    renamed: ClassVar[Mapping[str, str]] = {"halvings": "bisection_steps"}

    box: bool = True
    bisection_steps: Annotated[int, Ge(0)] = 8

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        return refusal(net)

    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        prove = kw_prover(threat, box=self.box)
        return certificates(
            net, x, y, prove, threat=threat, known=known, bisection_steps=self.bisection_steps
        )
