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
from relu.witness import in_float64

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
            layers = read_layers(in_float64(net), tuple(x.shape[1:]))
            inputs = to_vectors(layers, x[rows].double())
            found, timeouts = self._search(layers, inputs, y[rows], threat, known.high[rows])
            low[rows] = found.low
            witness[rows] = self._inside(to_images(layers, found.point, tuple(x.shape[1:])), threat)
            exact = (found.high - found.low <= EXACT).tolist()
            for row, done, late in zip(rows.tolist(), exact, timeouts, strict=True):
                outcome[row] = "done: exact" if done else "timeout" if late else "done"
        return Evidence(low=low, witness=witness, outcome=outcome)

    def _search(
        self, layers: tuple[Layer, ...], x: Tensor, y: Tensor, threat: Threat, high: Tensor
    ) -> tuple[Found, list[bool]]:
        """What is found about correctly classified inputs, and which of them ran out of time."""
        if not self.box:
            low, top = threat.box
            reach = BEYOND * (top - low)
            threat = replace(threat, box=(low - reach, top + reach))
        unlimited = self.neighbours == "unlimited"
        neighbours = FIRST if self.neighbours == "unlimited" else self.neighbours
        found = search(layers, x, y, threat=threat, neighbours=neighbours, enough=high)
        if not unlimited:
            return found, [False] * len(x)
        parts, timeouts = [], []
        for i in range(len(x)):
            one = Found(low=found.low[i : i + 1], high=found.high[i : i + 1], point=found.point[i : i + 1])
            finished = bool(one.low >= min(float(one.high), float(high[i])) - EXACT / 10)
            if not finished:
                one, finished = complete(
                    layers, x[i : i + 1], y[i : i + 1], threat=threat, start=one,
                    seconds=self.seconds, enough=float(high[i]),
                )  # fmt: skip
            parts.append(one)
            timeouts.append(not finished)
        return Found(
            low=torch.cat([one.low for one in parts]), high=torch.cat([one.high for one in parts]),
            point=torch.cat([one.point for one in parts]),
        ), timeouts  # fmt: skip

    def _inside(self, witness: Tensor, threat: Threat) -> Tensor:
        """Witnesses in the box; without one, the search knows others too."""
        inside = threat.in_box(witness).view(-1, *[1] * (witness.ndim - 1))
        return torch.where(inside, witness, torch.nan)
