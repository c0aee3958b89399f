"""Forms of a reduced network: sums over pixels and units; and balls that units lie in."""

import warnings
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

SPARSE = 0.12  # share of numbers that are not 0, up to which a sparse product is faster


@dataclass(frozen=True, eq=False)
class Forms:
    """Rows on (delta, a), constants, and what the absolute values of all their terms add up to."""

    rows: Float[Tensor, "m columns"]
    offset: Float[Tensor, " m"]
    size: Float[Tensor, " m"]

    def at(self, which: Int[Tensor, " k"]) -> "Forms":
        """Some of them."""
        return Forms(self.rows[which], self.offset[which], self.size[which])

    def to(self, dtype: torch.dtype) -> "Forms":
        """In another precision."""
        return Forms(self.rows.to(dtype), self.offset.to(dtype), self.size.to(dtype))

    def forward(self, points: Float[Tensor, "columns k"]) -> Float[Tensor, "m k"]:
        """The forms at points (delta, a)."""
        if self._sparse is not None:
            return self._sparse[0] @ points + self.offset.unsqueeze(1)
        return torch.addmm(self.offset.unsqueeze(1), self.rows, points)

    def add_transposed(
        self, total: Float[Tensor, "columns k"], multipliers: Float[Tensor, "m k"]
    ) -> None:
        """Adds sums of the forms times multipliers to the total, in place."""
        if self._sparse is not None:
            total += self._sparse[1] @ multipliers
        else:
            total.addmm_(self.rows.T, multipliers)

    @cached_property
    def _sparse(self) -> tuple[Tensor, Tensor] | None:
        """Rows and their transpose, where most of the numbers are 0."""
        if not self.rows.numel() or bool((self.rows != 0).double().mean() > SPARSE):
            return None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
            return self.rows.to_sparse_csr(), self.rows.T.contiguous().to_sparse_csr()


@dataclass(frozen=True, eq=False)
class Disk:
    """A ball in l2."""

    center: Float[Tensor, " m"]
    radius: Float[Tensor, ""]

    def to(self, dtype: torch.dtype) -> "Disk":
        """In another precision, which then proves nothing."""
        return Disk(self.center.to(dtype), self.radius.to(dtype))
