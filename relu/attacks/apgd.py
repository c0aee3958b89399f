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
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from relu.attacks.ascents import Ascents, DenseSteps, SparseSteps
from relu.attacks.pgd import random_point
from relu.classes import margins
from relu.threat import Threat

Loss = Literal["ce", "dlr", "margin"]


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
    rule = SparseSteps(threat, steps) if threat.norm == "l1" else DenseSteps(threat, steps)
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

    def look(self, rows: Ascents, z: Tensor, points: Tensor, fooled: Tensor) -> Ascents:
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

    def keep_best(self, rows: Ascents, points: Tensor) -> None:
        """Of each input that is left, the point of the highest loss."""
        first = torch.arange(0, len(rows.z), self.copies, device=rows.z.device)
        best = first + rows.best_value.view(-1, self.copies).argmax(1)
        points[rows.inputs[best]] = rows.best[best]
