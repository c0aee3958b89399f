"""Certificates from interval bounds: one pass of centers and one of radii, the cheapest per eps."""

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge
from torch import Tensor, nn

from evaluators._certificates import certificates
from evaluators.interface import Evidence, Interval
from relu.bounds.ball import ball_of
from relu.bounds.intervals import intervals
from relu.classes import Images, Labels
from relu.network.layers import Layer
from relu.network.reader import refusal
from relu.ranges import checked_dataclass
from relu.threat import Threat


@checked_dataclass
class Ibp:
    """Interval bounds of the margins [GDSQBUMK18], at eps and at radii that halve the rest.

    Loose on networks that were not trained with them, and enough on many that were. box,
    bisection_steps: as KW's.
    """

    label: ClassVar[str] = "IBP"
    aliases: ClassVar[tuple[str, ...]] = ("interval", "intervals", "interval bounds")
    resource: ClassVar[Literal["gpu", "cpu"]] = "gpu"
    cost: ClassVar[int] = 12
    eps_per_input: ClassVar[bool] = True

    box: bool = True
    bisection_steps: Annotated[int, Ge(0)] = 8

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        return refusal(net)

    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        def prove(layers: tuple[Layer, ...], x: Tensor, y: Tensor, eps: Tensor) -> Tensor:
            ball = ball_of(x, threat, eps=eps, box=self.box)
            return intervals(layers, ball).margins(y).amin(1)

        return certificates(
            net,
            x,
            y,
            prove,
            threat=threat,
            known=known,
            bisection_steps=self.bisection_steps,
        )
