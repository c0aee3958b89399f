"""Affine functions of a program's variables: what a network's units are in them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

SMALL = 1e-11  # coefficients below this are left out, as solvers would do without telling


@dataclass(frozen=True, eq=False)
class Forms:
    """Affine functions of the variables, rows v + offset; size: the sums of their absolute terms.

    What is computed of them is off by at most a relative rounding error of size.
    """

    rows: Float[Tensor, "m v"]
    offset: Float[Tensor, " m"]
    size: Float[Tensor, " m"]

    def at(self, which: Tensor) -> "Forms":
        """Some of them."""
        return Forms(self.rows[which], self.offset[which], self.size[which])


@dataclass(frozen=True, eq=False)
class Units:
    """The units of one layer that may switch, what each is measured in, where its a, b, s start."""

    which: Int[Tensor, " m"]
    scale: Float[Tensor, " m"]
    start: int


def rectified(forms: Forms, open_: Tensor, units: Units, high: Tensor) -> Forms:
    """What ReLUs make of forms: those that may switch become variables."""
    m = len(units.which)
    rows = torch.cat([forms.rows, forms.rows.new_zeros(len(forms.rows), 3 * m)], 1)
    rows[open_] = 0
    rows[open_, units.start + torch.arange(m)] = units.scale
    offset = forms.offset.index_fill(0, open_, 0.0)
    return Forms(rows, offset, forms.size.index_copy(0, open_, high))


def without_small(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows without their small coefficients, and how much those can add up to; |v| is about 1."""
    small = rows.abs() < SMALL
    return rows.masked_fill(small, 0.0), 2 * (rows.abs() * small).sum(1)
