"""Certificate from linear regions [CAH19, Theorem 3.1] with neighbouring regions (Appendix A)."""

import time
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn

from evaluators.interface import DECIDED, EXACT, Evidence, Interval, Status, exact_at
from relu.attacks.witness import adversarial
from relu.classes import Images, Labels
from relu.network.layers import Layer, to_images, to_vectors
from relu.network.reader import in_float64, read_layers, refusal
from relu.ranges import checked_dataclass
from relu.regions.complete import complete
from relu.regions.search import Found, joined, search
from relu.threat import Threat

FIRST = 5  # neighbours looked at together before the complete search takes inputs one by one
MOST = 1000  # neighbours that are looked at together; what they cost grows with their square
BEYOND = 10.0  # without a box, this many of its widths around it take its place


@checked_dataclass
class Region:
    """The radius between the nearest hyperplanes of the input's region and of regions around it.

    neighbours: how many regions around the input's own are explored, nearest first; 0 is the
    theorem alone; "unlimited" goes on until the radius is exact, or for `seconds` per input
    ("timeout"). box: whether distances are measured inside the box, where they are larger;
    without it, witnesses still lie in the box and the certificate is weaker.
    """

    label: ClassVar[str] = "region"
    aliases: ClassVar[tuple[str, ...]] = ("regions", "linear regions", "theorem 3.1")
    resource: ClassVar[Literal["gpu", "cpu"]] = "gpu"
    cost: ClassVar[int] = 20
    eps_per_input: ClassVar[bool] = True
    shard: ClassVar[int] = 100

    neighbours: Annotated[int, Ge(0), Le(MOST)] | Literal["unlimited"] = 5
    seconds: Annotated[float, Gt(0)] = 60.0
    box: bool = True

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        return refusal(net)

    @torch.no_grad()
    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        rows = known.unsettled.nonzero().squeeze(1)
        low = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        witness = torch.full_like(x, torch.nan, dtype=torch.float64)
        outcome = [DECIDED] * len(x)
        status: list[Status] = ["skipped"] * len(x)
        seconds = torch.zeros_like(low)
        if len(rows):
            exact_net = in_float64(net)
            shape = tuple(x.shape[1:])
            layers = read_layers(exact_net, shape)
            inputs = to_vectors(layers, x[rows].double())
            result, late, spent = self._search(layers, inputs, y[rows], threat, known.high[rows])
            points = to_images(layers, result.point, shape)
            good = threat.in_box(points) & adversarial(exact_net, points, y[rows])
            witness[rows[good]] = points[good]
            low[rows] = threat.saturated(x[rows], result.low)
            high = torch.where(good, result.high, torch.inf).minimum(known.high[rows])
            exact = exact_at(low[rows], high) | low[rows].isinf()
            seconds[rows] = spent
            for i, row in enumerate(rows.tolist()):
                status[row] = "timeout" if late[i] and not exact[i] else "done"
                outcome[row] = "done: exact" if exact[i] else status[row]
        return Evidence(low=low, witness=witness, outcome=outcome, seconds=seconds, status=status)

    def _search(
        self, layers: tuple[Layer, ...], x: Tensor, y: Tensor, threat: Threat, high: Tensor
    ) -> tuple[Found, list[bool], Tensor]:
        """What is found, which inputs are unfinished, and the seconds that each took."""
        if not self.box:
            low, top = threat.box
            reach = BEYOND * (top - low)
            threat = replace(threat, box=(low - reach, top + reach))
        started = time.perf_counter()
        neighbours = FIRST if self.neighbours == "unlimited" else self.neighbours
        result = search(layers, x, y, threat=threat, neighbours=neighbours, enough=high)
        spent = torch.full_like(result.low, (time.perf_counter() - started) / len(x))
        late = [False] * len(x)
        if self.neighbours != "unlimited":
            return result, late, spent
        parts = []
        for i in range(len(x)):
            started = time.perf_counter()
            part = result.only(i)
            if float(part.low) < min(float(part.high), float(high[i])) - EXACT / 10:
                part, finished = complete(
                    layers,
                    x[i : i + 1],
                    y[i : i + 1],
                    threat=threat,
                    start=part,
                    seconds=self.seconds,
                    enough=float(high[i]),
                )
                late[i] = not finished
            parts.append(part)
            spent[i] += time.perf_counter() - started
        return joined(parts), late, spent
