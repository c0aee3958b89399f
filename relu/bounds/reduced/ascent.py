"""Ascent of the multipliers of bounds: supergradients in closed form, steps by Adam."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.bounds.reduced.boxes import Boxes, Slopes
from relu.bounds.reduced.dual import Minimiser, bounded, minimiser
from relu.bounds.reduced.forms import Forms
from relu.bounds.reduced.network import ReducedNetwork

# of the first step: of slopes, of beta in parts of |v|, of the limit's multiplier in its unit
ALPHA_RATE = 0.3
BETA_RATE = 0.1
LIMIT_RATE = 0.3
LAST = 0.1  # of the first step's rates
DECAYS = (0.9, 0.98)


@dataclass(frozen=True, eq=False)
class Limit:
    """A form of each question that is at most 0 wherever anything is of interest.

    unit: what its multiplier is measured in; start: the multiplier that an ascent begins with.
    """

    forms: Forms
    unit: Float[Tensor, " m"]
    start: Float[Tensor, " m"]

    def at(self, which: Int[Tensor, " k"]) -> "Limit":
        """Of some questions."""
        return Limit(self.forms.at(which), self.unit[which], self.start[which])


@dataclass(frozen=True, eq=False)
class Ascended:
    """The best bound of each question, its multipliers, slopes and the limit's multiplier.

    at: where the last step's bounds are attained. mean: the mean perturbation of later steps; where
    no unit can switch, it comes near to where the form itself is least.
    """

    bound: Float[Tensor, " m"]
    multipliers: Float[Tensor, "N m"]
    slopes: Slopes
    limit: Float[Tensor, " m"]
    v: Float[Tensor, "N m"]
    at: Minimiser
    mean: Float[Tensor, "d m"]


def ascended(
    net: ReducedNetwork,
    asked: Forms,
    boxes: Boxes,
    start: Slopes,
    *,
    steps: int,
    limit: Limit | None = None,
) -> Ascended:
    """Bounds whose slopes so many steps improve; those of the start are the first.

    Where the limit g is at most 0, an asked form f is at least f + mu g, for any mu >= 0.
    """
    slopes = start
    mu = torch.zeros_like(asked.offset) if limit is None else limit.start.clone()
    movers = [_Adam(), _Adam(), _Adam()]
    best: Ascended | None = None
    mean = asked.rows.new_zeros(net.d, len(asked.offset))
    later = (steps + 1) // 2
    for step in range(steps + 1):
        forms = asked if limit is None else limited(asked, limit.forms, mu)
        now = bounded(net, forms, boxes, slopes)
        at = minimiser(net, boxes, slopes, now)
        if step >= later:
            mean += at.points[: net.d]
        found = Ascended(now.bound, now.multipliers, slopes, mu, now.v, at, mean)
        best = found if best is None else _better(best, found)
        if step == steps:
            break
        rate = LAST ** (step / max(1, steps - 1))
        uphill = (now.v.clamp_min(0) * at.z).mul_(boxes.opened)
        alpha = slopes.alpha + ALPHA_RATE * rate * movers[0].step(uphill)
        push = _push(boxes, slopes.beta, now.v, at.z)
        beta = slopes.beta + BETA_RATE * rate * now.v.abs() * movers[1].step(push)
        beta = beta * (1 - (beta * slopes.beta).sign().clamp_max_(0).neg_())  # not past 0
        slopes = Slopes(alpha.clamp(0, 1), beta)
        if limit is not None:
            value = (limit.forms.rows.T * at.points).sum(0) + limit.forms.offset
            mu = (mu + LIMIT_RATE * rate * limit.unit * movers[2].step(value)).clamp_min(0)
    assert best is not None
    return replace(best, mean=mean / (steps + 1 - later))


def limited(asked: Forms, limit: Forms, mu: Float[Tensor, " m"]) -> Forms:
    """F + mu g."""
    return Forms(
        torch.addcmul(asked.rows, mu.unsqueeze(1), limit.rows),
        asked.offset + mu * limit.offset,
        asked.size + mu * limit.size,
    )


def _push(boxes: Boxes, beta: Tensor, v: Tensor, z: Tensor) -> Tensor:
    """Supergradients in beta: how far z is out of its box; units on lower lines have alpha."""
    below = boxes.low - z
    above = boxes.high - z
    sign = beta.sign()
    up = sign.clamp_min(0)
    down = -sign.clamp_max(0)
    push = (below.clamp_min(0) + above.clamp_max(0)) * (1 - up - down)
    push = push.addcmul_(up, below).addcmul_(down, above)
    on_lower = v.sign().add_(1).clamp_max_(1).mul_(boxes.opened)
    return push.addcmul_(push, on_lower, value=-1)


def _better(best: Ascended, found: Ascended) -> Ascended:
    better = found.bound > best.bound
    weight = better.to(found.bound.dtype)
    # exact where all is finite, as it is where bounds are, and much faster than choices
    finite = bool((found.bound.isfinite() & best.bound.isfinite()).all())

    def chosen(new: Tensor, old: Tensor) -> Tensor:
        return torch.lerp(old, new, weight) if finite else torch.where(better, new, old)

    slopes = Slopes(
        chosen(found.slopes.alpha, best.slopes.alpha), chosen(found.slopes.beta, best.slopes.beta)
    )
    return Ascended(
        chosen(found.bound, best.bound),
        chosen(found.multipliers, best.multipliers),
        slopes,
        chosen(found.limit, best.limit),
        chosen(found.v, best.v),
        found.at,
        found.mean,
    )


class _Adam:
    """Steps of about 1 for each number, along its mean gradient [KB15]."""

    def __init__(self) -> None:
        self.first: Tensor | None = None
        self.second: Tensor | None = None
        self.count = 0

    def step(self, gradient: Tensor) -> Tensor:
        """The next step."""
        self.count += 1
        if self.first is None or self.second is None:
            self.first = torch.zeros_like(gradient)
            self.second = torch.zeros_like(gradient)
        self.first.lerp_(gradient, 1 - DECAYS[0])
        self.second.mul_(DECAYS[1]).addcmul_(gradient, gradient, value=1 - DECAYS[1])
        scale = (1 - DECAYS[1] ** self.count) ** 0.5 / (1 - DECAYS[0] ** self.count)
        length = self.second.sqrt().add_(torch.finfo(gradient.dtype).tiny ** 0.5)
        return self.first.div(length).mul_(scale)
