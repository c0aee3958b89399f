"""A case of a property: a box of inputs, and what their outputs must not be, in exact numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from relu.errors import InputError


@dataclass(frozen=True)
class Row:
    """Sum of coefficient * y[number] <= bound; strict: < bound."""

    coefficients: tuple[tuple[int, Fraction], ...]
    bound: Fraction
    strict: bool = False

    def holds(self, y: Sequence[Fraction]) -> bool:
        """Whether outputs meet it, in exact arithmetic."""
        value = sum((a * y[j] for j, a in self.coefficients), Fraction(0))
        return value < self.bound if self.strict else value <= self.bound


@dataclass(frozen=True)
class Case:
    """A box of inputs, in row-major order, and the disjuncts that none of them may meet.

    open_lower, open_upper: the inputs whose bound is not in the box itself.
    """

    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]
    disjuncts: tuple[tuple[Row, ...], ...]
    open_lower: frozenset[int] = frozenset()
    open_upper: frozenset[int] = frozenset()

    def violated(self, y: Sequence[Fraction]) -> bool:
        """Whether outputs meet all rows of a disjunct, in exact arithmetic."""
        return any(all(row.holds(y) for row in rows) for rows in self.disjuncts)


def enclosing_box(case: Case) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """Float32 center and radius, whose box in exact arithmetic holds the case's. InputError."""
    center = []
    radius = []
    for low, high in zip(case.lower, case.upper, strict=True):
        middle = nearest_float32((low + high) / 2)
        center.append(middle)
        radius.append(float32_up(max(high - Fraction(middle), Fraction(middle) - low)))
    return torch.tensor(center), torch.tensor(radius)


def inner_box(case: Case) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """The least and the largest float32 of each input inside the case's box; crossed: none is."""
    lower = [float32_up(low, above=j in case.open_lower) for j, low in enumerate(case.lower)]
    upper = [float32_down(high, below=j in case.open_upper) for j, high in enumerate(case.upper)]
    return torch.tensor(lower), torch.tensor(upper)


def float32_up(value: Fraction, *, above: bool = False) -> float:
    """The least float32 that is no less than the value; above: that is more. InputError."""
    number = np.float32(nearest_float32(value))
    exact = Fraction(float(number))
    if exact < value or (above and exact == value):
        number = np.nextafter(number, np.float32(np.inf))
    return _finite(float(number), value)


def float32_down(value: Fraction, *, below: bool = False) -> float:
    """The largest float32 that is no more than the value; below: that is less. InputError."""
    return -float32_up(-value, above=below)


def nearest_float32(value: Fraction) -> float:
    """A float32 next to the value, on the one side or the other."""
    try:
        with np.errstate(over="ignore"):
            number = float(np.float32(float(value)))
    except OverflowError:
        number = math.inf
    return _finite(number, value)


def _finite(number: float, value: Fraction) -> float:
    if not math.isfinite(number):
        raise InputError(f"a property's numbers must lie in float32's range, got {_size(value)}")
    return number


def _size(value: Fraction) -> str:
    digits = int((abs(value.numerator) // value.denominator).bit_length() * math.log10(2))
    return f"a number of about {digits} digits"
