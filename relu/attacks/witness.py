"""Adversarial inputs: what counts as one, and how to bring one closer."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from relu.attacks.rational import exact_margins
from relu.bounds import linear
from relu.bounds.ball import ball_of
from relu.classes import margins
from relu.errors import InputError
from relu.network.activation import logits_of
from relu.network.layers import Layer, is_finite, largest_bias, largest_row, to_vectors
from relu.network.reader import read_layers
from relu.rounding import UNDERFLOW, gamma
from relu.threat import Threat

# of the way from x: what float32 may err by, and far more
FIRST = 2.0**-22
LAST = 2.0**-7
BATCH = 2048  # inputs that are asked about at once
CLEAR = 2.0**-40  # of the largest logit: far more than a float64 pass usually errs by
CLEAR_IN_FLOAT32 = 2.0**-18  # of the largest logit: more than a float32 pass usually errs by
POINT = Threat(norm="linf", eps=1.0)  # of which only the norm counts, for balls of radius 0


class Decision(NamedTuple):
    """Which inputs are adversarial whatever the rounding, and of which that is open."""

    adversarial: Bool[Tensor, " n"]
    open: Bool[Tensor, " n"]


@torch.no_grad()
def clearly_adversarial(
    exact_net: nn.Module,
    z: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    *,
    clear: float = CLEAR,
) -> Bool[Tensor, " n"]:
    """Whether z fools a float64 pass by `clear` of its largest logit: what a search goes on to.

    No proof, as no search needs one: `adversarial` decides what counts.
    """
    decisions = [torch.zeros_like(y[:0], dtype=torch.bool)]
    for points, labels in zip(z.split(BATCH), y.split(BATCH), strict=True):
        logits = exact_net(points.double())
        decisions.append(margins(logits, labels) <= -clear * logits.abs().amax(1))
    return torch.cat(decisions)


@torch.no_grad()
def adversarial(
    exact_net: nn.Module, z: Float[Tensor, "n *shape"], y: Int[Tensor, " n"]
) -> Bool[Tensor, " n"]:
    """Whether the network fails to give z the class y, in exact arithmetic; a tie counts.

    [CAH19, eq. 2]. A float64 pass decides where its margin is beyond its rounding, which is bounded
    first by the layers' largest rows, then by a relaxation over a ball of radius 0; whole numbers
    decide the rest. A network with weights that are no numbers gives no class. Of networks that
    `read_layers` refuses no rounding is known: CLEAR stands in for it, and what is within it is
    not adversarial.
    """
    parts = zip(z.split(BATCH), y.split(BATCH), strict=True)
    decisions = [_exactly(exact_net, points.double(), labels) for points, labels in parts]
    return torch.cat([torch.zeros_like(y[:0], dtype=torch.bool), *decisions])


def _exactly(exact_net: nn.Module, z: Tensor, y: Tensor) -> Tensor:
    logits = exact_net(z)
    layers = _layers(exact_net, z)
    if layers is None:
        fooled: Tensor = ~(margins(logits, y) > -CLEAR * logits.abs().amax(1))
        return fooled
    vectors = to_vectors(layers, z)
    logits = logits_of(layers, vectors)  # of the very operations whose rounding is bounded
    fooled, open_ = _by_rows(layers, vectors, y, logits)
    rows = open_.nonzero().squeeze(1)
    if len(rows):
        closer_look = _by_relaxation(layers, vectors[rows], y[rows], logits[rows])
        fooled[rows] = closer_look.adversarial
        rows = rows[closer_look.open]
    if len(rows):
        fooled[rows] = _by_whole_numbers(layers, vectors[rows], y[rows])
    return fooled


def _layers(exact_net: nn.Module, z: Tensor) -> tuple[Layer, ...] | None:
    try:
        return read_layers(exact_net, tuple(z.shape[1:]))
    except InputError:
        return None


def _by_rows(layers: tuple[Layer, ...], z: Tensor, y: Tensor, logits: Tensor) -> Decision:
    """By a cheap bound of the rounding, the same for all logits.

    With s <= (largest sum of |W|'s rows) s + max |b| for what a layer gives, and its error e:
    e <= (that sum) e + gamma s.
    """
    unit = gamma(layers, z.shape[1])
    size = z.abs().amax(1)
    error = torch.zeros_like(size)
    for layer in layers:
        rows = largest_row(layer)
        size = rows * size + largest_bias(layer)
        error = rows * error + unit * size + UNDERFLOW
    margin = margins(logits, y)
    surely = margin + 2 * error <= 0
    return Decision(surely, ~(surely | (margin - 2 * error > 0)))


def _by_relaxation(layers: tuple[Layer, ...], z: Tensor, y: Tensor, logits: Tensor) -> Decision:
    """By bounds of the margins of the likeliest class over a ball of radius 0."""
    ball = ball_of(z, POINT, eps=torch.zeros_like(z[:, 0]), box=False)
    likeliest = logits.argmax(1)
    least = linear.margin_lower_bounds(linear.relax(layers, ball, "kw"), likeliest)
    place = (y - (y > likeliest).long()).clamp_max(least.shape[1] - 1)  # of y among the others
    over_y = least.gather(1, place.unsqueeze(1)).squeeze(1)
    surely = (likeliest != y) & (over_y >= 0)
    right = (likeliest == y) & (least > 0).all(1)
    return Decision(surely, ~(surely | right))


def _by_whole_numbers(layers: tuple[Layer, ...], z: Tensor, y: Tensor) -> Tensor:
    """Row by row, as there are few; what is not finite has no class."""
    finite = z.isfinite().all(1) & all(is_finite(layer) for layer in layers)
    fooled = ~finite
    if finite.any():
        fractions = exact_margins(layers, z[finite], y[finite])
        fooled[finite] = torch.tensor([margin <= 0 for margin in fractions], device=z.device)
    return fooled


@torch.no_grad()
def outward(
    exact_net: nn.Module,
    x: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    z: Float[Tensor, "n *shape"],
    box: tuple[float, float],
) -> Float[Tensor, "n *shape"]:
    """z, moved away from x just so far that it clearly fools in float64; NaN where that is too far.

    For points that fool a network in float32: its rounding may have placed them before the
    boundary, or outside a box whose edges are no float32. The moves double from FIRST to LAST of
    the way from x.
    """
    z = z.clamp(*box)
    left = (~clearly_adversarial(exact_net, z, y)).nonzero().squeeze(1)
    share = FIRST
    while len(left) and share <= LAST:
        moved = (z[left] + share * (z[left] - x[left])).clamp(*box)
        good = clearly_adversarial(exact_net, moved, y[left])
        z[left[good]] = moved[good]
        left = left[~good]
        share = 2 * share
    z[left] = torch.nan
    return z


def closer(
    exact_net: nn.Module,
    x: Float[Tensor, "n *shape"],
    y: Int[Tensor, " n"],
    witness: Float[Tensor, "n *shape"],
    *,
    steps: int,
    clear: float = CLEAR,
) -> Float[Tensor, "n *shape"]:
    """The nearest adversarial point that bisection finds on the segment from x to each witness.

    Every accepted point was itself clearly adversarial (by `clear`), at its final rounding; an
    input with no better point keeps its witness.
    """
    best = witness.clone()
    shape = (-1, *[1] * (x.ndim - 1))
    low = torch.zeros(len(x), device=x.device)
    high = torch.ones(len(x), device=x.device)
    for _ in range(steps if len(x) else 0):
        middle = (low + high) / 2
        point = x + (witness - x) * middle.view(shape)
        hit = clearly_adversarial(exact_net, point, y, clear=clear)
        best = torch.where(hit.view(shape), point, best)
        high = torch.where(hit, middle, high)
        low = torch.where(hit, low, middle)
    return best
