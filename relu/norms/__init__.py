"""The norms of perturbations, an object each: all that depends on which it is."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from relu.norms.interface import PNorm
from relu.norms.l1 import L1
from relu.norms.l2 import L2
from relu.norms.linf import Linf

NORMS: Mapping[str, PNorm] = {norm.name: norm for norm in (Linf(), L2(), L1())}
OF_DUAL: Mapping[float, PNorm] = {norm.q: norm for norm in NORMS.values()}


def dual_length(v: Float[Tensor, "*n d"], q: float) -> Float[Tensor, "*n"]:
    """||v||_q over the last axis, q in {1, 2, inf}."""
    return OF_DUAL[q].dual_length(v)


def aligned(v: Float[Tensor, "*n d"], q: float) -> Float[Tensor, "*n d"]:
    """The s of length 1 (in p, 1/p + 1/q = 1) with s . v = ||v||_q."""
    return OF_DUAL[q].aligned(v)
