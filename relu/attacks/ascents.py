"""The ascents of Auto-PGD, and how they step (relu/attacks/apgd.py has the formulas)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.threat import Threat

MOMENTUM = 0.75
RISING = 0.75  # share of steps that must have raised the loss for its size to stay
SPARSER = 1.5
SETTLED = 0.8  # of the k before: from which on k has not changed much
SMALLEST = 0.1  # of eps: steps in l1 get no smaller
DENSE = 0.2  # of all pixels move at first in l1
INTERVAL = 0.04  # of all steps between the checkpoints in l1


@dataclass(eq=False)
class Ascents:
    """The ascents that go on, row by row; those of an input lie side by side.

    inputs: whose each is; x, y, target: the input, its label, the class it is to get; z, z_before:
    where it is and was; gradient, value: of the loss there; best, best_gradient, best_value: the
    same where the loss was highest; eta: the step's length; rises: how many steps since the last
    checkpoint raised the loss; halved: whether eta was halved at that one; value_before: the best
    value there; k: the pixels that move, in l1.
    """

    inputs: Int[Tensor, " n"]
    x: Float[Tensor, "n *shape"]
    y: Int[Tensor, " n"]
    target: Int[Tensor, " n"]
    z: Float[Tensor, "n *shape"]
    z_before: Float[Tensor, "n *shape"]
    gradient: Float[Tensor, "n *shape"]
    value: Float[Tensor, " n"]
    best: Float[Tensor, "n *shape"]
    best_gradient: Float[Tensor, "n *shape"]
    best_value: Float[Tensor, " n"]
    eta: Float[Tensor, " n"]
    rises: Int[Tensor, " n"]
    halved: Bool[Tensor, " n"]
    value_before: Float[Tensor, " n"]
    k: Float[Tensor, " n"]

    def only(self, rows: Tensor) -> "Ascents":
        return Ascents(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def back_to_best(self, which: Bool[Tensor, " n"]) -> None:
        """Some ascents go on from their best points, without momentum."""
        self.z[which] = self.best[which]
        self.z_before[which] = self.best[which]
        self.gradient[which] = self.best_gradient[which]
        self.value[which] = self.best_value[which]


def checkpoints(steps: int) -> Iterator[int]:
    """ceil(p_j steps) for j >= 1 [CH20a]."""
    before = 0.0
    now = 0.22
    while now < 1:
        yield math.ceil(round(now * steps, 9))
        before, now = now, now + max(now - before - 0.03, 0.06)


class DenseSteps:
    """Steps in linf and l2."""

    def __init__(self, threat: Threat, steps: int) -> None:
        self.threat = threat
        self.eps = float(threat.eps)
        self.checkpoints = frozenset(checkpoints(steps))

    def begin(self, inputs: Tensor, x: Tensor, y: Tensor, target: Tensor, z: Tensor) -> Ascents:
        return _begun(inputs, x, y, target, z, eta=2 * self.eps, k=math.prod(x.shape[1:]))

    def move(self, rows: Ascents) -> Tensor:
        eta = rows.eta.view(-1, *[1] * (rows.z.ndim - 1))
        step = self.threat.p_norm.ascent(rows.gradient, rows.z, self.threat.box)
        ahead = self.threat.project(rows.x, rows.z + eta * step)
        turned = ahead.lerp_(rows.z, 1 - MOMENTUM).add_(rows.z - rows.z_before, alpha=1 - MOMENTUM)
        return self.threat.project(rows.x, turned)

    def adapt(self, rows: Ascents, since: int) -> None:
        """Halves the steps that lead nowhere."""
        stuck = ~rows.halved & (rows.best_value <= rows.value_before)
        rows.halved = (rows.rises < RISING * since) | stuck
        rows.eta = torch.where(rows.halved, rows.eta / 2, rows.eta)
        rows.back_to_best(rows.halved)
        rows.value_before = rows.best_value.clone()
        rows.rises = torch.zeros_like(rows.rises)


class SparseSteps:
    """Steps in l1."""

    def __init__(self, threat: Threat, steps: int) -> None:
        self.threat = threat
        self.eps = float(threat.eps)
        interval = max(1, round(INTERVAL * steps))
        self.checkpoints = range(interval, steps, interval)

    def begin(self, inputs: Tensor, x: Tensor, y: Tensor, target: Tensor, z: Tensor) -> Ascents:
        k = DENSE * math.prod(x.shape[1:])
        return _begun(inputs, x, y, target, z, eta=self.eps, k=k)

    def move(self, rows: Ascents) -> Tensor:
        step = sparse_signs(rows.gradient.flatten(1), rows.k).mul_(rows.eta.unsqueeze(1))
        low, high = self.threat.edges(rows.z.dtype)
        x = rows.x.flatten(1)
        delta = rows.z.flatten(1) - x + step
        moved = self.threat.p_norm.project_between(delta, low - x, high - x, self.eps)
        return moved.add_(x).clamp_(low, high).view_as(rows.z)

    def adapt(self, rows: Ascents, since: int) -> None:
        """As many pixels as the best point needs, and shorter steps where they are settled."""
        k = (rows.best != rows.x).flatten(1).sum(1) / SPARSER
        ratio = k / rows.k
        settled = (ratio >= SETTLED) & (ratio <= 1)
        shorter = (rows.eta / SPARSER).clamp_min(SMALLEST * self.eps)
        rows.eta = torch.where(settled, shorter, torch.full_like(k, self.eps))
        rows.k = k
        rows.back_to_best(~settled)


def _begun(
    inputs: Tensor, x: Tensor, y: Tensor, target: Tensor, z: Tensor, *, eta: float, k: float
) -> Ascents:
    lowest = torch.full_like(x.flatten(1)[:, 0], -math.inf)
    return Ascents(
        inputs=inputs,
        x=x,
        y=y,
        target=target,
        z=z,
        z_before=z,
        gradient=torch.zeros_like(z),
        value=lowest,
        best=z,
        best_gradient=torch.zeros_like(z),
        best_value=lowest,
        eta=torch.full_like(lowest, eta),
        rises=torch.zeros_like(y),
        halved=torch.zeros_like(y, dtype=torch.bool),
        value_before=lowest,
        k=torch.full_like(lowest, k),
    )


def sparse_signs(gradient: Float[Tensor, "n d"], k: Float[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """The signs of the k largest |gradient| of each row (at least one), divided by their number."""
    order = gradient.abs().argsort(1, descending=True)
    count = k.floor().clamp_min(1).unsqueeze(1)
    kept = (torch.arange(gradient.shape[1], device=k.device) < count).to(gradient.dtype)
    mask = torch.zeros_like(gradient).scatter_(1, order, kept)
    return mask.mul_(gradient.sign()).div_(count)
