"""Certificates from CROWN and alpha-CROWN, and whatever KW's lines add to them."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge
from torch import Tensor, nn

from evaluators._certificates import certificates, kw_prover
from evaluators.interface import Evidence, Interval
from relu.bounds.alpha_crown import tightest_margins
from relu.bounds.ball import ball_of
from relu.bounds.certified_radius import Prover
from relu.bounds.coupling import COUPLED
from relu.bounds.lipschitz import largest_singular_values
from relu.classes import Images, Labels
from relu.network.layers import Layer
from relu.network.reader import in_float64, read_layers, refusal
from relu.ranges import checked_dataclass
from relu.threat import Threat

SQUARINGS = 8  # of Gram matrices, for bounds of singular values within about 1 %


@checked_dataclass
class Crown:
    """As KW, by the best of several bounds: KW's, CROWN's, and CROWN's with improved slopes.

    iterations: steps of the ascent that improves lower slopes (alpha-CROWN), for each other
    class apart, of inputs that the other bounds leave open at eps; 0: none. box, bisection_steps:
    as KW's.
    """

    label: ClassVar[str] = "CROWN"
    aliases: ClassVar[tuple[str, ...]] = ("alpha-crown",)
    resource: ClassVar[Literal["gpu", "cpu"]] = "gpu"
    cost: ClassVar[int] = 17
    eps_per_input: ClassVar[bool] = True
    renamed: ClassVar[Mapping[str, str]] = {"halvings": "bisection_steps"}

    iterations: Annotated[int, Ge(0)] = 10
    box: bool = True
    bisection_steps: Annotated[int, Ge(0)] = 8

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        return refusal(net)

    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        largest = None
        if threat.norm in COUPLED and bool(known.unsettled.any()):
            exact = read_layers(in_float64(net), tuple(x.shape[1:]))
            largest = largest_singular_values(exact, squarings=SQUARINGS)

        def prover(iterations: int) -> Prover:
            def prove(layers: tuple[Layer, ...], x: Tensor, y: Tensor, eps: Tensor) -> Tensor:
                ball = ball_of(x, threat, eps=eps, box=self.box)
                bounds = tightest_margins(layers, ball, y, iterations=iterations, largest=largest)
                return bounds.amin(1)

            return prove

        return certificates(
            net,
            x,
            y,
            prover(self.iterations),
            threat=threat,
            known=known,
            bisection_steps=self.bisection_steps,
            search=prover(0),
            weaker=kw_prover(threat, box=self.box),
        )
