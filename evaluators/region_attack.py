"""Region attack [CH18]: from linear region to linear region towards the smallest perturbation."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn

from evaluators._outcomes import worked_on
from evaluators.interface import Evidence, Interval
from relu.attacks.region_attack import SHARES, approach, walk
from relu.attacks.witness import CLEAR, outward
from relu.batching import at_once, groups
from relu.classes import Images, Labels
from relu.network.reader import in_float64
from relu.ranges import checked_dataclass
from relu.threat import Threat

POLISHING = 3  # rounds in float64 at the end, from the point itself


@checked_dataclass
class RegionAttack:
    """The nearest adversarial point that walks through linear regions find; for every norm.

    They start from the nearest witness of other attacks (or else the nearest image that the
    network takes for another class), and from approaches of x to the boundaries of the nearest
    `other_classes`, in `steps` steps each. walks: from so many of these starts, the nearest ones;
    rounds: of each walk; neighbours: regions that a round looks from, drawn at random around it.
    """

    label: ClassVar[str] = "region attack"
    aliases: ClassVar[tuple[str, ...]] = ("regions attack", "croce-hein", "linear region attack")
    resource: ClassVar[Literal["gpu", "cpu"]] = "gpu"
    cost: ClassVar[int] = 34
    eps_per_input: ClassVar[bool] = True
    renamed: ClassVar[Mapping[str, str]] = {"rivals": "other_classes"}
    shard: ClassVar[int] = 250

    other_classes: Annotated[int, Ge(1)] = 5
    steps: Annotated[int, Ge(1)] = 15
    walks: Annotated[int, Ge(1)] = 3
    rounds: Annotated[int, Ge(0)] = 15
    neighbours: Annotated[int, Ge(0)] = 7

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        return None

    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        witness = torch.full_like(x, torch.nan, dtype=torch.float64)
        rows = known.inexact.nonzero().squeeze(1)
        exact_net = in_float64(net)
        start = _others(exact_net, x, y)
        if known.witness is not None:
            start = torch.where(known.witness.isnan(), start, known.witness)
        numbers = x[0].numel() * self.walks * (self.neighbours + 1) * len(SHARES)
        for part in groups(len(rows), at_once(x.device) // numbers):
            which = rows[part]
            witness[which] = self._witnesses(
                net, exact_net, x[which], y[which], start[which], threat
            )
        return Evidence(
            low=torch.zeros(len(x), dtype=torch.float64, device=x.device),
            witness=witness,
            **worked_on(known.inexact),
        )

    def _witnesses(
        self,
        net: nn.Module,
        exact_net: nn.Module,
        x: Tensor,
        y: Tensor,
        start: Tensor,
        threat: Threat,
    ) -> Tensor:
        """The nearest point of all walks, or the start where it is nearer; NaN where none is."""
        shape = x.shape[1:]
        flat = x.flatten(1)
        exact = x.flatten(1).double()
        met = approach(
            net,
            flat,
            y,
            shape=shape,
            threat=threat,
            other_classes=self.other_classes,
            steps=self.steps,
        )
        z = torch.cat([met.double(), start.flatten(1).unsqueeze(1)], dim=1)
        z = _nearest(exact, z, threat, self.walks)
        walks = z.shape[1]
        which = torch.arange(len(x), device=x.device).repeat_interleave(walks)
        z = walk(
            net,
            flat[which],
            y[which],
            z.flatten(0, 1).to(x.dtype),
            shape=shape,
            threat=threat,
            rounds=self.rounds,
            neighbours=self.neighbours,
        )
        images, points = (t.view(-1, *shape) for t in (exact[which], z.double()))
        z = outward(exact_net, images, y[which], points, threat.box).flatten(1)
        z = walk(
            exact_net,
            exact[which],
            y[which],
            z,
            shape=shape,
            threat=threat,
            rounds=POLISHING,
            neighbours=0,
            clear=CLEAR,
        )
        z = torch.cat([z.unflatten(0, (len(x), walks)), start.flatten(1).unsqueeze(1)], dim=1)
        return _nearest(exact, z, threat, 1).view_as(x)


def _nearest(x: Tensor, z: Tensor, threat: Threat, count: int) -> Tensor:
    """The `count` points of z (n, k, d) nearest to each x; NaN is farthest."""
    n, k, d = z.shape
    far = threat.length((z - x.unsqueeze(1)).flatten(0, 1)).nan_to_num(torch.inf).view(n, k)
    order = far.argsort(1)[:, :count]
    return z.gather(1, order.unsqueeze(2).expand(-1, -1, d))


def _others(exact_net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """For each x, the nearest of all x that the network does not give y; NaN: there is none."""
    predicted = exact_net(x.double()).argmax(1)
    far = torch.cdist(x.flatten(1), x.flatten(1))
    far = far.masked_fill(predicted.unsqueeze(0) == y.unsqueeze(1), torch.inf)
    nearest = x[far.argmin(1)].double()
    nearest[far.isinf().all(1)] = torch.nan
    return nearest
