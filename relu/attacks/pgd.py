"""Projected gradient ascent inside a threat [MMSTV18]; adversarial training and PGD share it."""

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from relu.classes import margins
from relu.threat import Threat

Loss = Literal["ce", "margin"]
Objective = Callable[[Tensor], Tensor]
"""of the batch's logits: a number that is to rise"""


def ascend(
    net: nn.Module,
    x: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    *,
    threat: Threat,
    steps: int,
    generator: torch.Generator | None = None,
    random_start: bool = True,
    start: Float[Tensor, "n *shape"] | None = None,
    loss: Loss | Objective = "ce",
    leave_when_fooled: bool = False,
) -> tuple[Float[Tensor, "n *shape"], Bool[Tensor, " n"]]:
    """Points of the threat around x where the loss is high, and which of them are adversarial.

    Each step goes 2 eps / steps along the steepest ascent of the threat's norm and is projected
    back [CAH19, Appendix B], from a random point unless x itself or `start`, points of the threat,
    are asked for. loss: what rises; a function of the logits must keep all inputs in the batch.
    With `leave_when_fooled` an input stops at its first adversarial
    point and leaves the batch; otherwise every input takes all steps and nothing is said about
    which are adversarial (all False), which saves a forward pass. Points obey the threat up to
    float32 rounding; `Threat.inside` removes that. The network's parameters get no gradient.
    """
    if start is not None:
        z = start.clone()
    else:
        z = random_point(x, threat, generator) if random_start else x.clone()
    fooled = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    points = z
    active = torch.arange(len(x), device=x.device)
    if leave_when_fooled:
        points = z.clone()
    for _ in range(steps):
        z.requires_grad_()
        logits = net(z)
        value = _value(loss, logits, y)
        (grad,) = torch.autograd.grad(value, z)
        z = z.detach()
        if leave_when_fooled:
            keep = _remove_fooled(logits.detach(), y, z, active, points, fooled)
            if keep is not None:
                threat = threat.at(keep)
                z = z[keep]
                grad = grad[keep]
                x = x[keep]
                y = y[keep]
                active = active[keep]
            if not len(z):
                break
        step = threat.p_norm.ascent(grad, z, threat.box)
        z = threat.project(x, step.mul_(2 * threat.factor(x) / steps).add_(z))
    if not leave_when_fooled:
        return z, fooled
    if len(z):
        with torch.no_grad():
            keep = _remove_fooled(net(z), y, z, active, points, fooled)
        rows = active if keep is None else active[keep]
        points[rows] = z if keep is None else z[keep]
    return points, fooled


def random_point(
    x: Float[Tensor, "n *shape"], threat: Threat, generator: torch.Generator | None
) -> Float[Tensor, "n *shape"]:
    """A uniform point of the ball around each x, projected on the box.

    linf: independent uniform entries. l2, l1: a direction uniform on the sphere (normal, Laplace
    entries, scaled) times U^(1/d).
    """
    delta = threat.p_norm.random(len(x), math.prod(x.shape[1:]), x, generator)
    return threat.project(x, x + threat.factor(x) * delta.view_as(x))


def _value(loss: Loss | Objective, logits: Tensor, y: Tensor) -> Tensor:
    if callable(loss):
        return loss(logits)
    return -margins(logits, y).sum() if loss == "margin" else _cross_entropy(logits, y)


def _cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(logits, y, reduction="sum")


def _remove_fooled(
    logits: Tensor, y: Tensor, z: Tensor, active: Tensor, points: Tensor, fooled: Tensor
) -> Tensor | None:
    """Writes newly adversarial z into points/fooled; the mask of the others, None if all stay."""
    hit = margins(logits, y) <= 0
    if not hit.any():
        return None
    points[active[hit]] = z[hit]
    fooled[active[hit]] = True
    return ~hit
