"""From linear region to linear region towards the smallest perturbation [CH18].

On the region around a point, the network is affine, so the nearest point behind the region's
decision hyperplane inside the box is known in closed form (relu/regions/box_projection.py). Where
it is adversarial, the walk goes there; where it lies beyond the region, as far towards it as points
stay adversarial: every point on the way is nearer to x. Then it tries regions around the new point,
drawn at random, from which other hyperplanes are seen. No step has a size to tune, and none leads
away from x.

[CH18] solves a program over each region's polytope; here hyperplanes are followed through several
regions at once, which needs nothing but passes through the network, batched over all inputs.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from relu.classes import margins, others
from relu.network.layers import Shape
from relu.regions.box_projection import nearest_on_hyperplanes
from relu.threat import Threat

ASIDE = 0.2  # of an approach's step goes to the hyperplane's point nearest to where it is, not to x
OVERSHOOT = 1.02  # of an approach's step
SHARES = (1.0, 0.3, 0.05)  # of the way to a hyperplane that are tried
WIDTH = 0.3  # of the distance from x: how far around a point regions are looked for at first
# after a round that gained something, and one that did not
WIDER = 1.1
NARROWER = 0.85
GAIN = 1e-4  # of the distance, from which on a round has gained something
ROUNDINGS = 64  # a hyperplane's point is taken this many units in the last place beyond it


def approach(
    net: nn.Module,
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    *,
    shape: Shape,
    threat: Threat,
    other_classes: int,
    steps: int,
) -> Float[Tensor, "n k d"]:
    """For each x and its k nearest classes, the nearest adversarial point met on the way to them.

    k is `other_classes`, or all there are; near is what x's own region says. Each step goes to the
    hyperplane of label and other class in the region where it is. NaN where nothing was met.
    """
    classes = _nearest_classes(net, x, y, shape, threat, other_classes)
    n, k = classes.shape
    x = x.repeat_interleave(k, 0)
    y = y.repeat_interleave(k)
    s = classes.flatten()
    z = x.clone()
    best = torch.full_like(x, torch.nan)
    nearest = torch.full_like(x[:, 0], torch.inf)
    for _ in range(steps):
        logits, gap, normal = _affine(net, z, lambda f: _gap(f, y, s), shape)
        distance = threat.length(z - x)
        better = (margins(logits, y) <= 0) & (distance < nearest)
        best[better] = z[better]
        nearest[better] = distance[better]
        z = _towards(x, z, normal, gap, threat)
    return best.view(n, k, -1)


def _nearest_classes(
    net: nn.Module, x: Tensor, y: Tensor, shape: Shape, threat: Threat, most: int
) -> Tensor:
    """The classes whose hyperplanes in x's own region are nearest, box aside."""
    with torch.enable_grad():
        free = x.detach().requires_grad_()
        logits = net(free.view(-1, *shape))
        rows = [torch.autograd.grad(f.sum(), free, retain_graph=True)[0] for f in logits.unbind(1)]
    v = torch.stack(rows, dim=1)
    classes = others(y, logits.shape[1])
    ranks = torch.arange(len(x), device=x.device).unsqueeze(1)
    normals = v[ranks, y.unsqueeze(1)] - v[ranks, classes]
    gaps = logits.gather(1, y.unsqueeze(1)) - logits.gather(1, classes)
    length = threat.p_norm.dual_length(normals).clamp_min(torch.finfo(x.dtype).tiny)
    order = (gaps.detach().abs() / length).argsort(1)
    return classes.gather(1, order[:, :most])


def _gap(logits: Tensor, y: Tensor, s: Tensor) -> Tensor:
    return (logits.gather(1, y.unsqueeze(1)) - logits.gather(1, s.unsqueeze(1))).squeeze(1)


def _affine(
    net: nn.Module, z: Tensor, form: Callable[[Tensor], Tensor], shape: Shape
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, and a form of them with its normal in the region of each z."""
    with torch.enable_grad():
        free = z.detach().requires_grad_()
        logits = net(free.view(-1, *shape))
        value = form(logits)
        (normal,) = torch.autograd.grad(value.sum(), free)
    return logits.detach(), value.detach(), normal


def _towards(x: Tensor, z: Tensor, normal: Tensor, gap: Tensor, threat: Threat) -> Tensor:
    """A step onto the hyperplane; z itself where the box has none of it."""
    offset = (gap - (normal * z).sum(1)).unsqueeze(1)
    points = [
        nearest_on_hyperplanes(a, normal.unsqueeze(1), offset, threat)[1].squeeze(1) for a in (x, z)
    ]
    target = points[0].lerp(points[1], ASIDE)
    moved = threat.clamped(z + OVERSHOOT * (target - z))
    return torch.where(target.isnan(), z, moved)


def walk(
    net: nn.Module,
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    z: Float[Tensor, "n d"],
    *,
    shape: Shape,
    threat: Threat,
    rounds: int,
    neighbours: int,
    clear: float = 0.0,
) -> Float[Tensor, "n d"]:
    """Points no farther from x than the adversarial z; adversarial, too, in the net's precision.

    A round looks from z itself and from `neighbours` random points around it, whose regions are
    others more often than not. A point is taken where its margin is below 0 by `clear` of its
    largest logit: another batch may round a margin of 0 to the other side. NaN stays NaN.
    """
    distance = threat.length(z - x)
    width = WIDTH * distance
    for _ in range(rounds):
        points = _around(z, width, neighbours, threat)
        nearest, near = _nearer(net, x, y, z, points, distance, clear, shape, threat)
        better = near < distance
        width = width * torch.where(near < (1 - GAIN) * distance, WIDER, NARROWER)
        z = torch.where(better.unsqueeze(1), nearest, z)
        distance = torch.where(better, near, distance)
    return z


def _around(z: Tensor, width: Tensor, neighbours: int, threat: Threat) -> Tensor:
    """z, and points around it; in the box."""
    n, d = z.shape
    aside = torch.randn(n, neighbours, d, device=z.device, dtype=z.dtype)
    reach = width.unsqueeze(1) * torch.rand(n, neighbours, device=z.device, dtype=z.dtype)
    length = threat.length(aside.flatten(0, 1)).view(n, -1)
    aside *= (reach / length.clamp_min(torch.finfo(z.dtype).tiny)).unsqueeze(2)
    return torch.cat([z.unsqueeze(1), threat.clamped(z.unsqueeze(1) + aside)], dim=1)


def _nearer(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    z: Tensor,
    points: Tensor,
    distance: Tensor,
    clear: float,
    shape: Shape,
    threat: Threat,
) -> tuple[Tensor, Tensor]:
    """The nearest adversarial points on the ways from z to the points' hyperplanes, and how near.

    inf where there is none.
    """
    n, k, d = points.shape
    labels = y.repeat_interleave(k)
    logits, gap, normal = _affine(net, points.flatten(0, 1), lambda f: margins(f, labels), shape)
    gap = gap + 2 * clear * logits.abs().amax(1)
    beyond = ROUNDINGS * torch.finfo(x.dtype).eps * distance.repeat_interleave(k)
    offset = (
        gap - (normal * points.flatten(0, 1)).sum(1) + beyond * threat.p_norm.dual_length(normal)
    )
    far, target = nearest_on_hyperplanes(x, normal.view(n, k, d), offset.view(n, k), threat)
    start = z.unsqueeze(1)
    target = torch.where((far < distance.unsqueeze(1)).unsqueeze(2), target, start)
    shares = torch.tensor(SHARES, device=z.device, dtype=z.dtype).view(1, 1, -1, 1)
    tried = torch.lerp(start.unsqueeze(2), target.unsqueeze(2), shares).flatten(1, 2)
    with torch.no_grad():
        logits = net(tried.reshape(-1, *shape))
    margin = margins(logits, y.repeat_interleave(tried.shape[1]))
    fooled = margin <= -clear * logits.abs().amax(1)
    near = threat.length((tried - x.unsqueeze(1)).flatten(0, 1))
    near = torch.where(fooled, near, torch.inf).view(n, -1)
    least, which = near.min(1)
    return tried[torch.arange(n, device=z.device), which], least
