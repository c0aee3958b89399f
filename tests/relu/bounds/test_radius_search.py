"""The radius at which a bound ends: how near, in how many questions, whatever the budget."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from relu.bounds.radius_search import (
    BITS,
    likely_radii,
    proven_radii,
    radii_of,
    ranks_of,
    secants_of,
)

Bound = Callable[[Tensor, Tensor], Tensor]
N = 200


def power(seed: int) -> tuple[Bound, Tensor, Tensor]:
    """Margins all - c r^a with a from 0.8 to 4, all that there is, and where nothing is left."""
    generator = torch.Generator().manual_seed(seed)
    everything = 10 ** (4 * torch.rand(N, generator=generator).double() - 3)
    exponent = 0.8 + 3.2 * torch.rand(N, generator=generator).double()
    root = 10 ** (3 * torch.rand(N, generator=generator).double() - 3)

    def margins(rows: Tensor, radius: Tensor) -> Tensor:
        return everything[rows] * (1 - (radius.double() / root[rows]) ** exponent[rows])

    return margins, everything, root


def searched(margins: Bound, everything: Tensor, stop: Tensor, questions: int) -> Tensor:
    secants = secants_of(everything)

    def in_float32(rows: Tensor, radius: Tensor) -> Tensor:
        return margins(rows, radius).float() + 1e-6 * everything[rows].float()

    guess = likely_radii(in_float32, secants, torch.full_like(stop, 0.1).minimum(stop), stop)
    nothing = torch.zeros_like(stop)
    found, _ = proven_radii(margins, secants, guess, good=nothing, bad=stop, questions=questions)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_it_ends_within_a_hundredth_of_a_percent_in_a_few_questions(seed: int) -> None:
    margins, everything, root = power(seed)
    asked = torch.zeros(N)

    def counted(rows: Tensor, radius: Tensor) -> Tensor:
        asked[rows] += 1
        return margins(rows, radius)

    found = searched(counted, everything, torch.full((N,), 10.0).double(), 8)
    assert (found < root).all()
    assert (found >= root * (1 - 2.0 ** (1 - BITS))).all()
    assert asked.mean() <= 9  # in float32 and float64 together


@pytest.mark.parametrize("seed", range(5))
def test_more_questions_never_prove_less(seed: int) -> None:
    margins, everything, _ = power(seed)
    stop = torch.full((N,), 10.0).double()
    found = [searched(margins, everything, stop, questions) for questions in range(12)]
    for fewer, more in pairwise(found):
        assert (more >= fewer).all()
    assert torch.equal(found[-1], searched(margins, everything, stop, 40))


@pytest.mark.parametrize("seed", range(5))
def test_a_better_bound_never_ends_below_a_worse_one(seed: int) -> None:
    margins, everything, _ = power(seed)
    generator = torch.Generator().manual_seed(seed)
    gain = everything * 10 ** (-12 * torch.rand(N, generator=generator).double())
    gain[::2] = 0.0

    def better(rows: Tensor, radius: Tensor) -> Tensor:
        rounding = 1e-9 * everything[rows] * (radius.double() * 1e9).sin().abs()
        return margins(rows, radius) + gain[rows] + rounding

    stop = torch.full((N,), 10.0).double()
    assert (searched(better, everything, stop, 20) >= searched(margins, everything, stop, 20)).all()


def test_nothing_from_the_stop_on_is_asked_or_proven() -> None:
    margins, everything, root = power(0)
    stop = root / 3

    def watched(rows: Tensor, radius: Tensor) -> Tensor:
        assert (radius <= stop[rows]).all()
        return margins(rows, radius)

    found = searched(watched, everything, stop, 20)
    assert (found < stop).all()
    assert (found >= stop * (1 - 2.0 ** (1 - BITS))).all()


def test_a_bound_that_stops_falling_just_above_0_is_followed_to_the_stop() -> None:
    falling, everything, _ = power(2)
    stop = torch.full((N,), 3.0).double()

    def margins(rows: Tensor, radius: Tensor) -> Tensor:
        return falling(rows, radius).maximum(1e-9 * everything[rows])

    def too_small(rows: Tensor, radius: Tensor) -> Tensor:
        return margins(rows, radius) - 1e-6 * everything[rows]

    guess = likely_radii(too_small, secants_of(everything), torch.full_like(stop, 0.1), stop)
    found, failed = proven_radii(
        margins, secants_of(everything), guess, good=torch.zeros_like(stop), bad=stop, questions=8
    )
    assert (ranks_of(found) == ranks_of(stop) - 1).all()
    assert torch.equal(failed, stop)


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf])
def test_a_float32_that_says_nothing_costs_questions_and_no_soundness(nonsense: float) -> None:
    margins, everything, root = power(1)
    stop = torch.full((N,), 2.0).double()

    def useless(rows: Tensor, radius: Tensor) -> Tensor:
        return torch.full_like(radius, nonsense)

    secants = secants_of(everything)
    guess = likely_radii(useless, secants, torch.full_like(stop, 0.1), stop)
    found, failed = proven_radii(
        margins, secants, guess, good=torch.zeros_like(stop), bad=stop, questions=60
    )
    assert (found < root).all()
    assert (found >= root.minimum(stop) * (1 - 2.0 ** (1 - BITS))).all()
    assert (failed > found).all()


@pytest.mark.parametrize("radius", [1.0, 0.1, 1e-300, 3e7, 2.0 - 2**-52])
def test_ranks_count_the_radii_of_few_bits(radius: float) -> None:
    rank = ranks_of(torch.tensor([radius], dtype=torch.float64))
    low = radii_of(rank).item()
    next_ = radii_of(rank + 1).item()
    assert low <= radius < next_
    assert next_ <= low * (1 + 2.0 ** (1 - BITS))
    assert ranks_of(radii_of(rank)) == rank
    assert (low * 2**BITS) % 2 ** math.frexp(low)[1] == 0
