"""Auto-PGD [CH20a]: projected gradient ascent whose step size adapts to each input's progress.

With s(g) the steepest move of length 1 and P the projection on ball and box, a step of size eta is

    u  = P(z_k + eta s(grad L(z_k))),   z_{k+1} = P(z_k + a (u - z_k) + (1 - a) (z_k - z_{k-1}))

with a = MOMENTUM [CH20a]. eta begins at 2 eps. At checkpoints ceil(p_j steps) with
p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06), p_0 = 0, p_1 = 0.22, it is halved, and the ascent
goes on from its best point, if the loss rose in less than RISING of the steps since the last one,
or if neither eta nor the best loss has changed since. In l1, steps are sparse, without momentum
[CH21]: the k pixels of the largest |gradient| move, k = d / 5 at first and then
1 / SPARSER of the pixels in which the best point differs from x, anew every 0.04 steps; eta begins
at eps again where k has changed much, and is divided by SPARSER where it has not.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from relu.attacks.pgd import random_point
from relu.classes import margins
from relu.threat import Threat

Loss = Literal["ce", "dlr", "margin"]
MOMENTUM = 0.75
RISING = 0.75  # share of steps that must have raised the loss for its size to stay
SPARSER = 1.5
SETTLED = 0.8  # of the k before: from which on k has not changed much
SMALLEST = 0.1  # of eps: steps in l1 get no smaller
DENSE = 0.2  # of all pixels move at first in l1
INTERVAL = 0.04  # of all steps between the checkpoints in l1


def loss_of(
    logits: Float[Tensor, "n k"],
    y: Int[Tensor, " n"],
    loss: Loss,
    target: Int[Tensor, " n"] | None = None,
) -> Float[Tensor, " n"]:
    """What an attack ascends; the larger, the more adversarial.

    With f the logits, f_(1) >= f_(2) >= ... the same sorted, and t the target:

        ce      -log softmax(f)_y
        margin  max_s f_s - f_y over all s but y, or f_t - f_y
        dlr     the margin / (f_(1) - f_(3)), or / (f_(1) - (f_(3) + f_(4)) / 2) with a target

    [CH20a]. Of fewer than three (four) classes there is no dlr; the margin stands in.
    """
    if loss == "ce":
        return F.cross_entropy(logits, y, reduction="none")
    margin = -margins(logits, y)
    if target is not None:
        rows = torch.arange(len(y), device=y.device)
        margin = logits[rows, target] - logits[rows, y]
    needed = 3 if target is None else 4
    if loss == "margin" or logits.shape[1] < needed:
        return margin
    top = logits.topk(needed, dim=1).values
    spread = top[:, 0] - top[:, 2:].mean(1)
    return margin / spread.clamp_min(torch.finfo(logits.dtype).tiny)


def likeliest(
    logits: Float[Tensor, "n k"], y: Int[Tensor, " n"], count: int
) -> Int[Tensor, "n targets"]:
    """The `count` classes but y with the largest logits, or all there are."""
    count = min(count, logits.shape[1] - 1)
    return logits.scatter(1, y.unsqueeze(1), -math.inf).topk(count, dim=1).indices


def checkpoints(steps: int) -> Iterator[int]:
    """ceil(p_j steps) for j >= 1 [CH20a]."""
    before = 0.0
    now = 0.22
    while now < 1:
        yield math.ceil(round(now * steps, 9))
        before, now = now, now + max(now - before - 0.03, 0.06)


@dataclass(eq=False)
class _Ascents:
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

    def only(self, rows: Tensor) -> "_Ascents":
        return _Ascents(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def back_to_best(self, which: Bool[Tensor, " n"]) -> None:
        """Some ascents go on from their best points, without momentum."""
        self.z[which] = self.best[which]
        self.z_before[which] = self.best[which]
        self.gradient[which] = self.best_gradient[which]
        self.value[which] = self.best_value[which]


def ascend(
    net: nn.Module,
    x: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    *,
    threat: Threat,
    steps: int,
    loss: Loss,
    targets: Int[Tensor, "n k"] | None = None,
    start: Float[Tensor, "n *shape"] | None = None,
    clear: float = 0.0,
) -> tuple[Float[Tensor, "n *shape"], Bool[Tensor, " n"]]:
    """For each x the first adversarial point met, else that of the highest loss; who is fooled.

    The threat has one eps. Ascents start from `start`, else from random points; with `targets`,
    one towards each of them. An input whose margin falls to 0 by `clear` of its largest logit
    leaves with all its ascents. Points obey the threat up to rounding. The network's parameters
    get no gradient.
    """
    if not len(x):
        return x.clone(), torch.zeros_like(y, dtype=torch.bool)
    copies = 1 if targets is None else targets.shape[1]
    inputs = torch.arange(len(x), device=x.device).repeat_interleave(copies)
    z = random_point(x[inputs], threat, None) if start is None else start[inputs]
    rule = _Sparse(threat, steps) if threat.norm == "l1" else _Dense(threat, steps)
    attack = _Attack(net, loss, targets is not None, copies, clear)
    points, fooled = x.clone(), torch.zeros_like(y, dtype=torch.bool)
    target = y if targets is None else targets.flatten()
    rows = rule.begin(inputs, x[inputs], y[inputs], target, z)
    checkpoint = 0
    for step in range(steps):
        z_new = rule.move(rows) if step else rows.z
        rows = attack.look(rows, z_new, points, fooled)
        if not len(rows.z):
            break
        if step in rule.checkpoints:
            rule.adapt(rows, step - checkpoint)
            checkpoint = step
    attack.keep_best(rows, points)
    return points, fooled


@dataclass(frozen=True, eq=False)
class _Attack:
    """The network as an ascent sees it. copies: ascents of an input."""

    net: nn.Module
    loss: Loss
    targeted: bool
    copies: int
    clear: float

    def look(self, rows: _Ascents, z: Tensor, points: Tensor, fooled: Tensor) -> _Ascents:
        """Takes up loss and gradient at the next points; whose input is not fooled there."""
        with torch.enable_grad():
            free = z.detach().requires_grad_()
            logits = self.net(free)
            value = loss_of(logits, rows.y, self.loss, rows.target if self.targeted else None)
            (gradient,) = torch.autograd.grad(value.sum(), free)
        logits = logits.detach()
        value = value.detach()
        rows.rises += value > rows.value
        rows.z_before, rows.z, rows.gradient, rows.value = rows.z, z.detach(), gradient, value
        better = value > rows.best_value
        shape = (-1, *[1] * (z.ndim - 1))
        rows.best = torch.where(better.view(shape), rows.z, rows.best)
        rows.best_gradient = torch.where(better.view(shape), gradient, rows.best_gradient)
        rows.best_value = torch.where(better, value, rows.best_value)
        hit = margins(logits, rows.y) <= -self.clear * logits.abs().amax(1)
        if not hit.any():
            return rows
        points[rows.inputs[hit]] = rows.z[hit]
        fooled[rows.inputs[hit]] = True
        return rows.only(~fooled[rows.inputs])

    def keep_best(self, rows: _Ascents, points: Tensor) -> None:
        """Of each input that is left, the point of the highest loss."""
        first = torch.arange(0, len(rows.z), self.copies, device=rows.z.device)
        best = first + rows.best_value.view(-1, self.copies).argmax(1)
        points[rows.inputs[best]] = rows.best[best]


class _Dense:
    """Steps in linf and l2."""

    def __init__(self, threat: Threat, steps: int) -> None:
        self.threat = threat
        self.eps = float(threat.eps)
        self.checkpoints = frozenset(checkpoints(steps))

    def begin(self, inputs: Tensor, x: Tensor, y: Tensor, target: Tensor, z: Tensor) -> _Ascents:
        return _begun(inputs, x, y, target, z, eta=2 * self.eps, k=math.prod(x.shape[1:]))

    def move(self, rows: _Ascents) -> Tensor:
        eta = rows.eta.view(-1, *[1] * (rows.z.ndim - 1))
        step = self.threat.p_norm.ascent(rows.gradient, rows.z, self.threat.box)
        ahead = self.threat.project(rows.x, rows.z + eta * step)
        turned = ahead.lerp_(rows.z, 1 - MOMENTUM).add_(rows.z - rows.z_before, alpha=1 - MOMENTUM)
        return self.threat.project(rows.x, turned)

    def adapt(self, rows: _Ascents, since: int) -> None:
        """Halves the steps that lead nowhere."""
        stuck = ~rows.halved & (rows.best_value <= rows.value_before)
        rows.halved = (rows.rises < RISING * since) | stuck
        rows.eta = torch.where(rows.halved, rows.eta / 2, rows.eta)
        rows.back_to_best(rows.halved)
        rows.value_before = rows.best_value.clone()
        rows.rises = torch.zeros_like(rows.rises)


class _Sparse:
    """Steps in l1."""

    def __init__(self, threat: Threat, steps: int) -> None:
        self.threat = threat
        self.eps = float(threat.eps)
        interval = max(1, round(INTERVAL * steps))
        self.checkpoints = range(interval, steps, interval)

    def begin(self, inputs: Tensor, x: Tensor, y: Tensor, target: Tensor, z: Tensor) -> _Ascents:
        k = DENSE * math.prod(x.shape[1:])
        return _begun(inputs, x, y, target, z, eta=self.eps, k=k)

    def move(self, rows: _Ascents) -> Tensor:
        step = sparse_signs(rows.gradient.flatten(1), rows.k).mul_(rows.eta.unsqueeze(1))
        low, high = self.threat.edges(rows.z.dtype)
        x = rows.x.flatten(1)
        delta = rows.z.flatten(1) - x + step
        moved = self.threat.p_norm.project_between(delta, low - x, high - x, self.eps)
        return moved.add_(x).clamp_(low, high).view_as(rows.z)

    def adapt(self, rows: _Ascents, since: int) -> None:
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
) -> _Ascents:
    lowest = torch.full_like(x.flatten(1)[:, 0], -math.inf)
    return _Ascents(
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
