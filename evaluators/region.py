"""Certificate from linear regions [CAH19, Theorem 3.1] with neighbouring regions (Appendix A)."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from evaluators.interface import EXACT, Evidence, Interval
from relu.complete import complete
from relu.layers import Layer, read_layers, refusal, to_images, to_vectors
from relu.names import InputError
from relu.search import Found, search
from relu.threat import Threat
from relu.witness import adversarial, in_float64

FIRST = 5  # neighbours looked at together before the complete search takes inputs one by one
BEYOND = 10.0  # without a box, this many of its widths around it take its place


@dataclass(frozen=True, kw_only=True)
class Region:
    """The radius between the nearest hyperplanes of the input's region and of regions around it.

    neighbours: how many regions around the input's own are explored, nearest first; 0 is the
    theorem alone; "unlimited" goes on until the radius is exact, or for `seconds` per input. box:
    whether distances are measured inside the box, where they are larger; without it, witnesses
    still lie in the box and the certificate is weaker.
    """

    label: ClassVar[str] = "region"
    aliases: ClassVar[tuple[str, ...]] = ("regions", "linear regions", "theorem 3.1")
    resource: ClassVar[Literal["gpu", "cpu"]] = "gpu"
    cost: ClassVar[int] = 20

    neighbours: int | Literal["unlimited"] = 5
    seconds: float = 60.0
    box: bool = True

    def __post_init__(self) -> None:
        if self.neighbours != "unlimited" and not 0 <= self.neighbours < 2**16:
            raise InputError(
                f"region.neighbours must be a number from 0 on, or unlimited, got {self.neighbours}"
            )
        if not self.seconds > 0:
            raise InputError(f"region.seconds must be a positive number, got {self.seconds}")

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        return refusal(net)

    @torch.no_grad()
    def judge(
        self,
        net: nn.Module,
        x: Float[Tensor, "n *shape"],
        y: Int[Tensor, " n"],
        *,
        threat: Threat,
        known: Interval,
    ) -> Evidence:
        rows = (known.high - known.low > EXACT).nonzero().squeeze(1)
        low = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        witness = torch.full_like(x, torch.nan, dtype=torch.float64)
        outcome = ["skipped: already decided"] * len(x)
        if len(rows):
            exact_net, shape = in_float64(net), tuple(x.shape[1:])
            layers = read_layers(exact_net, shape)
            inputs = to_vectors(layers, x[rows].double())
            found, late = self._search(layers, inputs, y[rows], threat, known.high[rows])
            points = to_images(layers, found.point, shape)
            good = threat.in_box(points) & adversarial(exact_net, points, y[rows])
            low[rows], witness[rows[good]] = found.low, points[good]
            exact = good & (found.high - found.low <= EXACT)
            for i, row in enumerate(rows.tolist()):
                outcome[row] = "done: exact" if exact[i] else "timeout" if late[i] else "done"
        return Evidence(low=low, witness=witness, outcome=outcome)

    def _search(
        self, layers: tuple[Layer, ...], x: Tensor, y: Tensor, threat: Threat, high: Tensor
    ) -> tuple[Found, list[bool]]:
        """What is found about correctly classified inputs, and which of them ran out of time."""
        if not self.box:
            low, top = threat.box
            reach = BEYOND * (top - low)
            threat = replace(threat, box=(low - reach, top + reach))
        if self.neighbours != "unlimited":
            found = search(layers, x, y, threat=threat, neighbours=self.neighbours, enough=high)
            return found, [False] * len(x)
        found = search(layers, x, y, threat=threat, neighbours=FIRST, enough=high)
        results = [
            self._complete(layers, x[i], y[i], threat, found.only(i), float(high[i]))
            for i in range(len(x))
        ]
        parts = [part for part, _ in results]
        found = Found(
            low=torch.cat([part.low for part in parts]),
            high=torch.cat([part.high for part in parts]),
            point=torch.cat([part.point for part in parts]),
        )
        return found, [not finished for _, finished in results]

    def _complete(
        self, layers: tuple[Layer, ...], x: Tensor, y: Tensor, threat: Threat, start: Found,
        high: float,
    ) -> tuple[Found, bool]:  # fmt: skip
        if float(start.low) >= min(float(start.high), high) - EXACT / 10:
            return start, True
        return complete(
            layers, x[None], y[None], threat=threat, start=start, seconds=self.seconds, enough=high
        )
