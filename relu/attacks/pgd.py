"""Projected gradient ascent inside a threat [MMSTV18]; adversarial training and PGD share it."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from relu.classes import margins
from relu.threat import Threat

Loss = Literal["ce", "margin"]
L1_SHARE = 0.01  # of the pixels move in one l1 step, as in the sparse steps of [TB19]


def ascend(
    net: nn.Module,
    x: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    *,
    threat: Threat,
    steps: int,
    generator: torch.Generator | None = None,
    random_start: bool = True,
    loss: Loss = "ce",
    leave_when_fooled: bool = False,
) -> tuple[Float[Tensor, "n *shape"], Bool[Tensor, " n"]]:
    """Points of the threat around x where the loss is high, and which of them are adversarial.

    Each step goes 2 eps / steps along the steepest ascent of the threat's norm and is projected
    back [CAH19, Appendix B]. With `leave_when_fooled` an input stops at its first adversarial
    point and leaves the batch; otherwise every input takes all steps and nothing is said about
    which are adversarial (all False), which saves a forward pass. Points obey the threat up to
    float32 rounding; `Threat.inside` removes that. The network's parameters get no gradient.
    """
    z = random_point(x, threat, generator) if random_start else x.clone()
    fooled = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    found = z
    active = torch.arange(len(x), device=x.device)
    if leave_when_fooled:
        found = z.clone()
    for _ in range(steps):
        z.requires_grad_()
        logits = net(z)
        value = -margins(logits, y).sum() if loss == "margin" else _cross_entropy(logits, y)
        (grad,) = torch.autograd.grad(value, z)
        z = z.detach()
        if leave_when_fooled:
            keep = _remove_fooled(logits.detach(), y, z, active, found, fooled)
            if keep is not None:
                z = z[keep]
                grad = grad[keep]
                x = x[keep]
                y = y[keep]
                active = active[keep]
            if not len(z):
                break
        step = steepest(grad, z, threat)
        z = threat.project(x, step.mul_(2 * threat.eps / steps).add_(z))
    if not leave_when_fooled:
        return z, fooled
    if len(z):
        with torch.no_grad():
            _remove_fooled(net(z), y, z, active, found, fooled)
    return found, fooled


def random_point(
    x: Float[Tensor, "n *shape"], threat: Threat, generator: torch.Generator | None
) -> Float[Tensor, "n *shape"]:
    """A uniform point of the ball around each x, projected on the box.

    linf: independent uniform entries. l2, l1: a direction uniform on the sphere (normal, Laplace
    entries, scaled) times U^(1/d).
    """
    n = len(x)
    d = math.prod(x.shape[1:])

    def uniform(*size: int) -> Tensor:
        return torch.rand(*size, device=x.device, dtype=x.dtype, generator=generator)

    if threat.norm == "linf":
        delta = uniform(n, d).mul_(2).sub_(1)
    else:
        if threat.norm == "l2":
            delta = torch.randn(n, d, device=x.device, dtype=x.dtype, generator=generator)
        else:
            delta = uniform(n, d).mul_(2).sub_(1)
            delta = torch.copysign(delta.abs().neg_().log1p_(), delta)
        delta *= uniform(n, 1) ** (1 / d) / threat.length(delta).clamp_min(1e-30).unsqueeze(1)
    return threat.project(x, x + threat.eps * delta.view_as(x))


def steepest(
    grad: Float[Tensor, "n *shape"], z: Float[Tensor, "n *shape"], threat: Threat
) -> Float[Tensor, "n *shape"]:
    """The unit perturbation (in the threat's norm) of z along which the loss grows fastest.

    linf: sign(grad). l2: grad / ||grad||_2. l1: one pixel would do, but a share of L1_SHARE of
    the pixels with the largest |grad| moves together, among those not yet at the box's edge.
    """
    if threat.norm == "linf":
        return grad.sign()
    if threat.norm == "l2":
        length = threat.length(grad).clamp_min(1e-30).view(-1, *[1] * (grad.ndim - 1))
        return grad / length
    low, high = threat.box
    half = torch.full((), (high - low) / 2, dtype=grad.dtype, device=grad.device)
    room = half.copysign(grad).add_((low + high) / 2).sub_(z)  # to the edge that grad points to
    size = room.sign_().mul_(grad).abs_()
    count = max(1, round(L1_SHARE * math.prod(grad.shape[1:])))
    top = size.flatten(1).topk(count, dim=1, sorted=False).indices
    signs = grad.flatten(1).gather(1, top).sign_().div_(count)
    return torch.zeros_like(grad).flatten(1).scatter_(1, top, signs).view_as(grad)


def _cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(logits, y, reduction="sum")


def _remove_fooled(
    logits: Tensor, y: Tensor, z: Tensor, active: Tensor, found: Tensor, fooled: Tensor
) -> Tensor | None:
    """Writes newly adversarial z into found/fooled; the mask of the others, None if all stay."""
    hit = margins(logits, y) <= 0
    if not hit.any():
        return None
    found[active[hit]] = z[hit]
    fooled[active[hit]] = True
    return ~hit
