"""Certificates for all norms at once, from an l1 and an linf ball inside one region [CH20b]."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from evaluators._outcomes import worked_on
from evaluators.interface import Evidence, Interval
from relu.classes import Images, Labels
from relu.network.layers import to_vectors
from relu.network.reader import in_float64, read_layers, refusal
from relu.regions.hull import hull_certificates
from relu.threat import Threat


@dataclass(frozen=True, kw_only=True)
class Hull:
    """What the theorem behind MMR-Universal says: distances in l1 and linf, their hull for l2.

    `region` knows the distance in each norm itself, and is never below: this evaluator shows
    what the training of MMR-Universal has in mind, and `all` leaves it out.
    """

    label: ClassVar[str] = "hull"
    aliases: ClassVar[tuple[str, ...]] = ("mmr-universal certificate",)
    resource: ClassVar[Literal["gpu", "cpu"]] = "gpu"
    cost: ClassVar[int] = 19
    on_request: ClassVar[bool] = True
    eps_per_input: ClassVar[bool] = True

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        return refusal(net)

    @torch.no_grad()
    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        wanted = known.unsettled
        rows = wanted.nonzero().squeeze(1)
        low = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        if len(rows):
            layers = read_layers(in_float64(net), tuple(x.shape[1:]))
            vectors = to_vectors(layers, x[rows].double())
            low[rows] = hull_certificates(layers, vectors, y[rows], threat)
        nothing = torch.full_like(x, torch.nan)
        return Evidence(low=threat.saturated(x, low), witness=nothing, **worked_on(wanted))
