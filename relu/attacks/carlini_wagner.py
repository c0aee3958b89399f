"""The smallest l2 perturbation by gradient descent and a search of a constant [CW17].

For an input x of class y, with margin(z) = f_y(z) - max_s f_s(z) over all other classes s,

    min over w   ||z - x||_2^2 + c max(0, margin(z)),     z = middle + half tanh(w),

middle and half being those of the box, which every z lies in. Adam descends from x; c is the
smallest that makes an adversarial point: ten times larger after a search that found none,
bisected once one has. Each input has its own c, its own steps, its own end, and leaves the batch.
"""

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from relu.classes import margins
from relu.threat import inner_edges

INSIDE = 0.999999  # of the box's half: x at its edge would be at infinity in w
# Adam's usual ones
BETA1 = 0.9
BETA2 = 0.999
GUARD = 1e-8
CHECKS = 10  # how often a search looks whether it still gets anywhere
REPEATED = 10  # searches from which on the last one repeats the smallest constant that was good
COARSE = 0.99  # of the loss at the check before, above which too small a constant is given up
PROGRESS = 0.9999  # the same, of searches that have found something or will


@dataclass(eq=False)
class _Searches:
    """The inputs whose search goes on, row by row.

    x, y; start: x in w; lr: Adam's; best, nearest: the nearest adversarial point, and its
    ||z - x||_2^2; c, c_low, c_high: the constant, and what it is bisected between; w, mean,
    square: Adam's; steps, searches: done; success: whether the present search has an adversarial
    point; loss: its last.
    """

    x: Float[Tensor, "n d"]
    y: Int[Tensor, " n"]
    start: Float[Tensor, "n d"]
    lr: Float[Tensor, " n"]
    best: Float[Tensor, "n d"]
    nearest: Float[Tensor, " n"]
    c: Float[Tensor, " n"]
    c_low: Float[Tensor, " n"]
    c_high: Float[Tensor, " n"]
    w: Float[Tensor, "n d"]
    mean: Float[Tensor, "n d"]
    square: Float[Tensor, "n d"]
    steps: Int[Tensor, " n"]
    searches: Int[Tensor, " n"]
    success: Bool[Tensor, " n"]
    loss: Float[Tensor, " n"]

    def only(self, rows: Tensor) -> "_Searches":
        return _Searches(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def nearest_adversarial(
    net: nn.Module,
    x: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    *,
    box: tuple[float, float],
    steps: int,
    binary_search_steps: int,
    lr: float,
    constant: float,
    first_step: float = math.inf,
) -> tuple[Float[Tensor, "n *shape"], Bool[Tensor, " n"]]:
    """The nearest adversarial point that the searches met, and for which inputs there is one.

    steps: Adam's per search, of which the last tenths are spared where the loss stands still
    (`steps` is rounded down to tenths); binary_search_steps: values of c per input, the first one
    `constant`; first_step: how long Adam's first step may be in the image, for which an
    input's lr is lowered.
    Points lie in the box; they fool the network in its own precision. Rows without one are x.
    """
    low, high = inner_edges(box, x.dtype)
    middle = (low + high) / 2
    half = (high - low) / 2
    attack = _Attack(net, tuple(x.shape[1:]), (low, high), middle, half)
    leg = max(1, steps // CHECKS)
    at_work = attack.begin(x, y, constant, lr, first_step)
    rows = torch.arange(len(x), device=x.device)
    best = x.clone()
    fooled = torch.zeros_like(y, dtype=torch.bool)
    while len(rows):
        loss = attack.step(at_work)
        for _ in range(leg - 1):
            loss = loss.minimum(attack.step(at_work))
        hopeless = at_work.c_high.isinf() & ~at_work.success  # a larger constant comes next
        progress = torch.where(hopeless, COARSE, PROGRESS)
        ended = ~(loss <= progress * at_work.loss) | (at_work.steps + leg > steps)
        at_work.loss = loss
        attack.search_again(at_work, ended, binary_search_steps)
        done = at_work.searches >= binary_search_steps
        if done.any():
            out = rows[done]
            best[out] = at_work.best[done].view(-1, *x.shape[1:])
            fooled[out] = at_work.nearest[done].isfinite()
            at_work = at_work.only(~done)
            rows = rows[~done]
    return best, fooled


@dataclass(frozen=True, eq=False)
class _Attack:
    net: nn.Module
    shape: tuple[int, ...]
    box: tuple[float, float]
    middle: float
    half: float

    def begin(
        self, images: Tensor, y: Tensor, constant: float, lr: float, first_step: float
    ) -> _Searches:
        x = images.flatten(1)
        inside = (x - self.middle).mul_(INSIDE / self.half)
        longest = lr * self.half * (1 - inside.square()).norm(dim=1)  # as Adam begins with lr in w
        start = inside.atanh_()
        nothing = torch.zeros_like(x[:, 0])
        none = torch.zeros_like(y)
        return _Searches(
            x=x,
            y=y,
            start=start,
            lr=lr * (first_step / longest).clamp_max(1),
            best=x.clone(),
            nearest=nothing + torch.inf,
            c=nothing + constant,
            c_low=nothing.clone(),
            c_high=nothing + torch.inf,
            w=start.clone(),
            mean=torch.zeros_like(x),
            square=torch.zeros_like(x),
            steps=none.clone(),
            searches=none.clone(),
            success=none > 0,
            loss=nothing + torch.inf,
        )

    def step(self, s: _Searches) -> Tensor:
        """One step of Adam for all; the losses before it."""
        slope = s.w.tanh()
        z = (slope * self.half).add_(self.middle).clamp_(*self.box)
        slope.square_().neg_().add_(1).mul_(self.half)  # dz/dw
        margin, gradient = self._margin(z, s)
        moved = z - s.x
        distance = moved.square().sum(1)
        hit = margin <= 0
        s.success |= hit
        better = (hit & (distance < s.nearest)).nonzero().squeeze(1)
        s.best[better] = z[better]
        s.nearest[better] = distance[better]
        self._descend(s, gradient.add_(moved, alpha=2).mul_(slope))
        return torch.addcmul(distance, s.c, margin.clamp_min(0))

    def _margin(self, z: Tensor, s: _Searches) -> tuple[Tensor, Tensor]:
        """Margins, and the gradients of c max(0, margin)."""
        with torch.enable_grad():
            free = z.detach().requires_grad_()
            margin = margins(self.net(free.view(-1, *self.shape)), s.y)
            (gradient,) = torch.autograd.grad(margin, free, s.c * (margin > 0))
        return margin.detach(), gradient

    def _descend(self, s: _Searches, gradient: Tensor) -> None:
        s.steps += 1
        s.mean.lerp_(gradient, 1 - BETA1)
        s.square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        scale = s.lr / (1 - BETA1**s.steps)
        root = (1 - BETA2**s.steps).sqrt_()
        size = s.square.sqrt().div_(root.unsqueeze(1)).add_(GUARD)
        s.w.sub_(torch.div(s.mean, size, out=size).mul_(scale.unsqueeze(1)))

    def search_again(self, s: _Searches, ended: Tensor, binary_search_steps: int) -> None:
        """The next constant for the inputs whose search has ended; Adam begins anew."""
        s.c_high = torch.where(ended & s.success, s.c, s.c_high)
        s.c_low = torch.where(ended & ~s.success, s.c, s.c_low)
        s.searches += ended
        between = (s.c_low + s.c_high) / 2
        if binary_search_steps >= REPEATED:
            between = torch.where(s.searches == binary_search_steps - 1, s.c_high, between)
        following = torch.where(s.c_high.isinf(), s.c * 10, between)
        s.c = torch.where(ended, following, s.c)
        s.success &= ~ended
        s.steps *= ~ended
        s.loss.masked_fill_(ended, torch.inf)
        s.w[ended] = s.start[ended]
        s.mean[ended] = 0.0
        s.square[ended] = 0.0
