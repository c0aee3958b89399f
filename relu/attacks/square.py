"""Square Attack [ACFH20]: random search that asks for logits alone, where gradients say nothing.

A point is changed in a random square of pixels and kept where the margin falls. Squares cover the
share p of the image's pixels, halved as the search goes on. In linf, each channel of the square
moves to one of the edges +-eps, and the search begins with such columns of one pixel's width. In l2
and l1 [CH21] it begins with a grid of bumps; a step takes all that two squares spend of the radius,
and what was not spent, into one of them: as a bump on top of what it held, along its direction.
The norm of the whole stays eps; the box then clips it.

Departures: the halves of a bump have signs of their own, which the paper's are opposites of; what
is spent is shared out over all channels at once. Inputs that are no images are one row of pixels.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from relu.classes import margins
from relu.threat import Threat

# p is halved at these shares of all steps
HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
P = 0.8  # the share at first in linf
P_SPREAD = 0.1  # the same in l2 and l1
TINY = 1e-12  # of eps: less is no direction


def search(
    net: nn.Module,
    x: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    *,
    threat: Threat,
    steps: int,
    clear: float = 0.0,
) -> tuple[Float[Tensor, "n *shape"], Bool[Tensor, " n"]]:
    """For each x the first adversarial point met, else that of the least margin; who is fooled.

    The threat has one eps. A point counts where its margin is at most 0 by `clear` of its largest
    logit; its input leaves the batch. Points obey the threat up to rounding. Of an input one
    forward pass per step.
    """
    rule = _Signs(threat) if threat.norm == "linf" else _Bumps(threat)
    points = x.clone()
    fooled = torch.zeros_like(y, dtype=torch.bool)
    rows = torch.arange(len(x), device=x.device)
    images = x.view(-1, *image_shape(tuple(x.shape[1:])))
    z = rule.first(images) if len(x) else images
    least = torch.full_like(images[:, 0, 0, 0], torch.inf)
    best = images
    for step in range(steps):
        if not len(rows):
            break
        if step:
            z = rule.moved(images, best, share(step / steps, rule.p))
        with torch.no_grad():
            logits = net(z.view(-1, *x.shape[1:]))
        margin = margins(logits, y[rows])
        better = margin < least
        best = torch.where(better.view(-1, 1, 1, 1), z, best)
        least = torch.where(better, margin, least)
        hit = margin <= -clear * logits.abs().amax(1)
        if hit.any():
            points[rows[hit]] = z[hit].view(-1, *x.shape[1:])
            fooled[rows[hit]] = True
            rows, images, best, least = (t[~hit] for t in (rows, images, best, least))
    points[rows] = best.view(-1, *x.shape[1:])
    return points, fooled


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height, width; one row of pixels for what has other axes."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (1, 1, math.prod(shape))


def share(progress: float, p: float) -> float:
    """Of the pixels in a square, once this share of the steps is done."""
    return p * 0.5 ** sum(progress >= halving for halving in HALVINGS)


def sides(image: tuple[int, int], p: float) -> tuple[int, int]:
    """Of the rectangle closest to a square that covers the share p of an image; 1 at least."""
    height, width = image
    side = min(height, max(1, round(math.sqrt(p * height * width))))
    return side, min(width, max(1, round(p * height * width / side)))


@dataclass(frozen=True)
class _Windows:
    """Rectangles of one size, one in each image, at random places."""

    rows: Int[Tensor, "n s"]
    columns: Int[Tensor, "n t"]

    @classmethod
    def drawn(cls, images: Float[Tensor, "n c h w"], size: tuple[int, int]) -> "_Windows":
        def places(length: int, side: int) -> Tensor:
            first = torch.randint(length - side + 1, (len(images), 1), device=images.device)
            return first + torch.arange(side, device=images.device)

        height, width = images.shape[2:]
        return cls(places(height, size[0]), places(width, size[1]))

    def places(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What indexes the windows, (n, c, s, t)."""
        which = torch.arange(len(images), device=images.device).view(-1, 1, 1, 1)
        channels = torch.arange(images.shape[1], device=images.device).view(1, -1, 1, 1)
        return which, channels, self.rows[:, None, :, None], self.columns[:, None, None, :]


def _signs(like: Tensor, *size: int) -> Tensor:
    return torch.randint(2, size, device=like.device).to(like.dtype).mul_(2).sub_(1)


@dataclass(frozen=True)
class _Signs:
    """Changes in linf."""

    threat: Threat
    p: float = P

    def first(self, x: Tensor) -> Tensor:
        """Columns of one pixel's width, at +-eps."""
        n, c, _, width = x.shape
        return self.threat.clamped(x + float(self.threat.eps) * _signs(x, n, c, 1, width))

    def moved(self, x: Tensor, z: Tensor, p: float) -> Tensor:
        """Every channel of a square at +-eps; turned around where nothing would change."""
        places = _Windows.drawn(x, sides((x.shape[2], x.shape[3]), p)).places(x)
        signs = float(self.threat.eps) * _signs(x, *x.shape[:2], 1, 1)
        inside = x[places]
        new = self.threat.clamped(inside + signs)
        same = (new == z[places]).flatten(1).all(1).view(-1, 1, 1, 1)
        z = z.clone()
        z[places] = torch.where(same, self.threat.clamped(inside - signs), new)
        return z


@dataclass(frozen=True)
class _Bumps:
    """Changes in l2 and l1."""

    threat: Threat
    p: float = P_SPREAD
    tiles: int = 5

    def first(self, x: Tensor) -> Tensor:
        """Bumps of random signs side by side, as long as the radius."""
        n, c, height, width = x.shape
        size = (-(-height // self.tiles), -(-width // self.tiles))
        signs = _signs(x, n, c, -(-height // size[0]), -(-width // size[1]))
        tiled = signs.repeat_interleave(size[0], 2).repeat_interleave(size[1], 3)
        bumps = bump(size, x).repeat(tiled.shape[2] // size[0], tiled.shape[3] // size[1])
        delta = (tiled * bumps)[:, :, :height, :width]
        eps = torch.full_like(x[:, 0, 0, 0], float(self.threat.eps))
        return self.threat.project(x, x + self._as_long_as(delta, eps))

    def moved(self, x: Tensor, z: Tensor, p: float) -> Tensor:
        """What two squares spend of the radius, and what is left of it, into the first one."""
        size = sides((x.shape[2], x.shape[3]), p)
        first, second = (_Windows.drawn(x, size).places(x) for _ in range(2))
        delta = z - x
        inside = self._as_long_as(delta[first], torch.ones_like(x[:, 0, 0, 0]))
        delta[first] = 0.0
        delta[second] = 0.0
        power = self.threat.p_norm.p
        spent = self.threat.length(delta) ** power
        budget = (float(self.threat.eps) ** power - spent).clamp_min(0) ** (1 / power)
        new = bump(size, x) * _signs_of_halves(x, size[1])
        new = self._as_long_as(new, torch.ones_like(budget)) + inside
        delta[first] = self._as_long_as(new, budget)
        return self.threat.project(x, x + delta)

    def _as_long_as(self, delta: Tensor, length: Tensor) -> Tensor:
        now = self.threat.length(delta)
        scale = torch.where(now > TINY * float(self.threat.eps), length / now, 0.0)
        return delta * scale.view(-1, 1, 1, 1)


def _signs_of_halves(x: Tensor, width: int) -> Tensor:
    """A sign for the left and one for the right half of each image's and channel's square."""
    signs = _signs(x, *x.shape[:2], 1, 2)
    right = (torch.arange(width, device=x.device) >= width // 2).long()
    return signs[..., right]


def bump(size: tuple[int, int], like: Tensor) -> Float[Tensor, "s t"]:
    """Two hills side by side; one where there is room for one alone.

    With n the rings of a hill, ring r = 0, 1, ... from its edge is sum_{k <= r} 1 / (n - k)^2 high
    [ACFH20].
    """
    height, width = size
    left = width // 2
    hills = [_hill((height, side), like) for side in (left, width - left) if side]
    return torch.cat(hills, dim=1)


def _hill(size: tuple[int, int], like: Tensor) -> Tensor:
    height, width = size
    ring = _to_edge(height, like).unsqueeze(1).minimum(_to_edge(width, like))
    rings = torch.arange(int(ring.max()) + 1, 0, -1, device=like.device, dtype=like.dtype)
    return (1 / rings.square()).cumsum(0)[ring]


def _to_edge(side: int, like: Tensor) -> Tensor:
    places = torch.arange(side, device=like.device)
    return places.minimum(places.flip(0))
