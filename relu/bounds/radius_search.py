"""The largest radius at which a bound of the margin is positive, found in few questions.

What a bound loses, loss(r) = margin(0) - margin(r), grows about like a power of the radius, so that
log loss is nearly linear in log r, and secants of it lead to the radius at which nothing is left.
float32 looks for it first; float64 decides. Radii that may be proven are the float64s with BITS
significant bits, so that a better bound never ends below a worse one for having asked elsewhere,
and the search of an input ends between two neighbours of which one holds and one does not: within
2^(1 - BITS) = 0.003 % of what the bound can prove. An input's questions are the same whatever
the budget, which only ends them sooner: more of it never proves less.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

BITS = 16
HALF = 2 ** (BITS - 1)  # radii of BITS bits between two powers of two
STEPS = 12  # in float32, at most; three or four are usual
CLOSE = 1e-3  # relative: float32 is not asked about radii that are nearer to each other
FARTHEST = 10.0  # factor between two radii that are asked about, where a secant leads beyond
# of the powers with which bounds lose
FLATTEST = 0.01
STEEPEST = 50.0
APART = 1e-3  # in log radius: of points that are nearer to each other, a slope is mostly rounding
UNKNOWN = torch.iinfo(torch.long).min // 4  # the rank of no radius

Margins = Callable[[Int[Tensor, " m"], Float[Tensor, " m"]], Float[Tensor, " m"]]
"""margins(which, radius): lower bounds of the smallest margins of inputs over their balls"""


def ranks_of(radius: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """The number of the largest radius of BITS bits that is at most this one."""
    mantissa, exponent = torch.frexp(radius)
    rank: Tensor = exponent.long() * HALF + (mantissa * 2 * HALF).floor().long() - HALF
    return rank


def radii_of(rank: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The radius of BITS bits with this number."""
    exponent = torch.div(rank, HALF, rounding_mode="floor")
    mantissa = (rank - exponent * HALF + HALF).double() / (2 * HALF)
    power = (exponent + 1022).clamp_min(1) << 52  # the bits of 2^(exponent - 1)
    radius: Tensor = 2 * mantissa * power.view(torch.float64)
    return radius


@dataclass(eq=False)
class Secants:
    """log loss over log radius: the last point of each input, a slope, and where they lead.

    all: the margin at radius 0, all that can be lost. at, loss: the point; NaN where there is none.
    """

    all: Float[Tensor, " n"]
    at: Float[Tensor, " n"]
    loss: Float[Tensor, " n"]
    slope: Float[Tensor, " n"]

    def of(self, rows: Int[Tensor, " m"]) -> "Secants":
        """Those of some inputs, as copies."""
        return Secants(self.all[rows], self.at[rows], self.loss[rows], self.slope[rows])

    def add(self, rows: Int[Tensor, " m"], radius: Tensor, margin: Tensor) -> None:
        """A bound of the margins of some inputs."""
        at = radius.log()
        loss = (self.all[rows] - margin.double()).log()
        apart = at - self.at[rows]
        slope = (loss - self.loss[rows]) / apart
        known = slope.isfinite() & (apart.abs() > APART)
        self.slope[rows] = torch.where(known, slope.clamp(FLATTEST, STEEPEST), self.slope[rows])
        self.at[rows] = at
        self.loss[rows] = loss

    def root(self, rows: Int[Tensor, " m"]) -> Float[Tensor, " m"]:
        """The radii at which nothing should be left; NaN where nothing is known."""
        farthest = math.log(FARTHEST)
        step = (self.all[rows].log() - self.loss[rows]) / self.slope[rows]
        return (self.at[rows] + step.clamp(-farthest, farthest)).exp()


def secants_of(margin: Float[Tensor, " n"]) -> Secants:
    """Of inputs of which only the margin at radius 0 is known."""
    nothing = torch.full_like(margin, torch.nan)
    return Secants(margin, nothing.clone(), nothing, torch.ones_like(margin))


def likely_radii(
    margins: Margins, secants: Secants, first: Float[Tensor, " n"], stop: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """About where float32 sees the bound end: `stop` where it still holds there.

    first: what is asked about first, where no secant leads anywhere yet.
    """
    good = torch.zeros_like(stop)
    bad = stop.clone()
    failed = torch.zeros_like(stop, dtype=torch.bool)  # whether `bad` was asked about
    rows = torch.arange(len(stop), device=stop.device)
    guess = secants.root(rows)
    guess = torch.where(guess.isfinite(), guess, first)
    for _ in range(STEPS):
        if not len(rows):
            break
        radius = _between(guess[rows], good[rows], bad[rows], failed[rows])
        margin = margins(rows, radius)
        holds = margin > 0  # NaN does not
        secants.add(rows, radius, margin)
        good[rows] = torch.where(holds, radius, good[rows])
        bad[rows] = torch.where(holds, bad[rows], radius)
        failed[rows] |= ~holds
        guess[rows] = secants.root(rows)
        close = (guess[rows] / radius - 1).abs() <= CLOSE
        close |= bad[rows] - good[rows] <= CLOSE * good[rows]
        rows = rows[~close]
    return torch.where(good >= stop, stop, _between(guess, good, bad, failed))


def _between(guess: Tensor, good: Tensor, bad: Tensor, failed: Tensor) -> Tensor:
    """The guess where it lies between the two (bad itself, unless it failed); else their middle."""
    guess = torch.where(failed, guess, guess.minimum(bad))
    inside = (guess > good) & ((guess < bad) | (~failed & (guess == bad)))
    middle = torch.where(good > 0, (good * bad).sqrt(), bad / FARTHEST)
    return torch.where(inside, guess, middle)


def proven_radii(
    margins: Margins,
    secants: Secants,
    guess: Float[Tensor, " n"],
    *,
    good: Float[Tensor, " n"],
    bad: Float[Tensor, " n"],
    questions: int,
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Radii of BITS bits at which the bound held in float64 (0: none), and the least that failed.

    margins: in float64. guess: what is asked about first. good: where it is known to hold (0:
    unknown); bad: from where on nothing is asked. questions: at most so many for each input.
    """
    proven = torch.zeros_like(good)
    failed = bad.clone()
    low = torch.where(good > 0, ranks_of(good), UNKNOWN)
    high = ranks_of(bad)
    high += (radii_of(high) < bad).long()
    rank = ranks_of(guess)
    drop = torch.full_like(low, HALF)
    top = high.clone()
    for k in range(questions):
        rows = (low < high - 1).nonzero().squeeze(1)
        if not len(rows):
            break
        asked = rank[rows].minimum(high[rows] - 1).maximum(low[rows] + 1)
        radius = radii_of(asked)
        margin = margins(rows, radius)
        holds = margin > 0
        secants.add(rows, radius, margin)
        low[rows] = torch.where(holds, asked, low[rows])
        high[rows] = torch.where(holds, high[rows], asked)
        proven[rows] = torch.where(holds, radius, proven[rows])
        failed[rows] = torch.where(holds, failed[rows], radius)
        rank[rows] = _next(secants.root(rows), low[rows], high[rows], drop[rows], halve=k % 3 == 2)
        if k % 3 == 2:  # a bound that no longer falls, as all of the box is there, has no root
            rank[rows] = torch.where(high[rows] == top[rows], top[rows] - 1, rank[rows])
        drop[rows] *= 2
    return proven, failed


def _next(root: Tensor, low: Tensor, high: Tensor, drop: Tensor, *, halve: bool) -> Tensor:
    """The rank where a secant leads; or the middle of what is open, or else ever farther below."""
    led = (root.isfinite() & (root > 0)) if not halve else torch.zeros_like(low, dtype=torch.bool)
    below = torch.where(low > UNKNOWN, torch.div(low + high, 2, rounding_mode="floor"), high - drop)
    return torch.where(led, ranks_of(torch.where(led, root, 1.0)), below)
