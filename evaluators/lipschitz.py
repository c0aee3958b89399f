"""Certificates from Lipschitz constants: products of operator norms, the cheapest of all."""

from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn

from evaluators._outcomes import worked_on
from evaluators.interface import Evidence, Interval
from relu.bounds.ball import ball_of
from relu.bounds.linear import margin_lower_bounds, relax
from relu.bounds.lipschitz import margin_constants
from relu.classes import Images, Labels
from relu.network.layers import to_vectors
from relu.network.reader import in_float64, read_layers, refusal
from relu.ranges import checked_dataclass
from relu.rounding import UNIT
from relu.threat import Threat


@checked_dataclass
class Lipschitz:
    """The margin at the input, divided by how fast it can fall anywhere: one radius for all eps.

    Good where training kept the norms of layers small, above all in l2. squarings: of Gram
    matrices, each of which halves how far the bound of a spectral norm can be off.
    """

    label: ClassVar[str] = "Lipschitz"
    aliases: ClassVar[tuple[str, ...]] = ("lipnaive", "spectral")
    resource: ClassVar[Literal["gpu", "cpu"]] = "gpu"
    cost: ClassVar[int] = 13
    shard: ClassVar[int] = 2000
    eps_per_input: ClassVar[bool] = True

    squarings: Annotated[int, Ge(0)] = 8

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        return refusal(net)

    @torch.no_grad()
    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        wanted = known.unsettled
        rows = wanted.nonzero().squeeze(1)
        low = torch.zeros_like(known.low)
        if len(rows):
            low[rows] = self._radii(net, x[rows], y[rows], threat)
        low = threat.saturated(x, low)
        nothing = torch.full_like(x, torch.nan)
        return Evidence(low=low, witness=nothing, **worked_on(wanted))

    def _radii(self, net: nn.Module, x: Images, y: Labels, threat: Threat) -> Tensor:
        layers = read_layers(in_float64(net), tuple(x.shape[1:]))
        points = to_vectors(layers, x.double())
        eps = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        here = ball_of(points, threat, eps=eps, box=False)
        margins = margin_lower_bounds(relax(layers, here, "kw"), y)
        constants = margin_constants(layers, y, threat.norm, squarings=self.squarings)
        radii: Tensor = (margins / constants).amin(1).nan_to_num(0.0).clamp_min(0)
        return radii * (1 - 4 * UNIT)
