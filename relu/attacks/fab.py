"""Fast adaptive boundary attack [CH20b]: small perturbations, from boundary to boundary.

At z_k the network is linearised; with H the hyperplane on which label and target tie there, inside
the box, and P_H(a) the point of H nearest to a (relu/regions/box_projection.py), a step is

    alpha   = min(||P_H(z_k) - z_k|| / (||P_H(z_k) - z_k|| + ||P_H(x) - x||), ALPHA)
    z_{k+1} = (1 - alpha) (z_k + ETA (P_H(z_k) - z_k)) + alpha (x + ETA (P_H(x) - x))

clipped to the box [CH20b]. Where z_{k+1} is adversarial, it is kept if it is nearer to x
than what was known, and the walk goes on from (1 - BETA) x + BETA z_{k+1}. This is the
targeted form, FAB-T, which needs one gradient per step [CH20a].
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from relu.classes import margins
from relu.regions.box_projection import nearest_on_hyperplanes
from relu.threat import Threat

ALPHA = 0.1  # most that a step is drawn to x's own projection
ETA = 1.05  # how far behind the hyperplane a step ends
BETA = 0.9  # of the way from x is left after an adversarial point


def nearest_adversarial(
    net: nn.Module,
    x: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    *,
    threat: Threat,
    targets: Int[Tensor, "n k"],
    steps: int,
    start: Float[Tensor, "n *shape"] | None = None,
    clear: float = 0.0,
) -> tuple[Float[Tensor, "n *shape"], Bool[Tensor, " n"]]:
    """The nearest adversarial point met on the walks towards the targets; for which x there is one.

    Walks begin at `start`, else at x. A point counts where its margin is at most 0 by `clear` of
    its largest logit. An input leaves with all its walks once one of its points is within the
    threat's one eps; others go all steps. Points lie in the box; rows without one are x. The
    network's parameters get no gradient.
    """
    walks = _Walks(net, threat, clear, tuple(x.shape[1:]))
    inputs = torch.arange(len(x), device=x.device).repeat_interleave(targets.shape[1])
    target = targets.flatten()
    flat = x.flatten(1)
    z = (x if start is None else start).flatten(1)[inputs]
    found = _Found(flat.clone(), torch.full_like(flat[:, 0], torch.inf))
    for _ in range(steps):
        if not len(inputs):
            break
        z = walks.step(flat[inputs], y[inputs], target, z, inputs, found)
        left = (found.distance > float(threat.eps))[inputs]
        if not left.all():
            inputs, target, z = inputs[left], target[left], z[left]
    return found.points.view_as(x), found.distance.isfinite()


@dataclass(frozen=True, eq=False)
class _Found:
    """The nearest adversarial points so far, and how far they are."""

    points: Float[Tensor, "n d"]
    distance: Float[Tensor, " n"]

    def keep(self, z: Tensor, distance: Tensor, inputs: Tensor) -> None:
        """Takes up adversarial points, of which several may belong to one input."""
        nearest = self.distance.scatter_reduce(0, inputs, distance, "amin")
        better = (distance == nearest[inputs]) & (distance < self.distance[inputs])
        self.points[inputs[better]] = z[better]
        self.distance.copy_(nearest)


@dataclass(frozen=True, eq=False)
class _Walks:
    net: nn.Module
    threat: Threat
    clear: float
    shape: tuple[int, ...]

    def step(
        self, x: Tensor, y: Tensor, target: Tensor, z: Tensor, inputs: Tensor, found: _Found
    ) -> Tensor:
        """The next points: back towards x where z is adversarial, else on to the boundary."""
        rows = torch.arange(len(y), device=y.device)
        with torch.enable_grad():
            free = z.detach().requires_grad_()
            logits = self.net(free.view(-1, *self.shape))
            gap = logits[rows, y] - logits[rows, target]
            (normal,) = torch.autograd.grad(gap.sum(), free)
        logits = logits.detach()
        hit = margins(logits, y) <= -self.clear * logits.abs().amax(1)
        found.keep(z[hit], self.threat.length(z[hit] - x[hit]), inputs[hit])
        ahead = self._towards(x, z, normal, gap.detach())
        return torch.where(hit.unsqueeze(1), x.lerp(z, BETA), ahead)

    def _towards(self, x: Tensor, z: Tensor, normal: Tensor, gap: Tensor) -> Tensor:
        """[CH20b]; z itself where the box has none of the hyperplane."""
        offset = (gap - (normal * z).sum(1)).unsqueeze(1)
        (far_z, on_z), (far_x, on_x) = (
            nearest_on_hyperplanes(a, normal.unsqueeze(1), offset, self.threat) for a in (z, x)
        )
        tiny = torch.finfo(z.dtype).tiny
        alpha = (far_z / (far_z + far_x).clamp_min(tiny)).clamp_max(ALPHA)
        from_z = z + ETA * (on_z.squeeze(1) - z)
        from_x = x + ETA * (on_x.squeeze(1) - x)
        ahead = self.threat.clamped(from_z.lerp(from_x, alpha))
        return torch.where(ahead.isnan(), z, ahead)
