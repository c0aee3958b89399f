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

    def scaled(self, slope: Float[Tensor, " m"]) -> "Forms":
        """Each of them times a slope >= 0."""
        return Forms(self.rows * slope.unsqueeze(1), self.offset * slope, self.size * slope)


@dataclass(frozen=True, eq=False)
class Units:
    """The units of one layer that may switch, what each is measured in, where its a, b, s start."""

    which: Int[Tensor, " m"]
    scale: Float[Tensor, " m"]
    start: int


def activated_forms(
    forms: Forms, open_: Tensor, units: Units, top: Tensor, bottom: Tensor, leak: Tensor
) -> Forms:
    """What the activation makes of forms: those that may switch become a - leak b, in variables.

    top, bottom: the most that a and b can be.
    """
    m = len(units.which)
    leak = leak[units.which]
    place = units.start + torch.arange(m)
    rows = torch.cat([forms.rows, forms.rows.new_zeros(len(forms.rows), 3 * m)], 1)
    rows[open_] = 0
    rows[open_, place] = units.scale
    rows[open_, place + m] = -leak * units.scale
    offset = forms.offset.index_fill(0, open_, 0.0)
    most = (top + leak * bottom) * units.scale
    return Forms(rows, offset, forms.size.index_copy(0, open_, most))


def without_small(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows without their small coefficients, and how much those can add up to; |v| is about 1."""
    small = rows.abs() < SMALL
    return rows.masked_fill(small, 0.0), 2 * (rows.abs() * small).sum(1)
