"""Norms of perturbations, and their duals."""

import torch
from jaxtyping import Float
from torch import Tensor

SMALL_LENGTH = 1e-140  # of a float64 row, from which on what its squares underflow by is nothing


def dual_length(v: Float[Tensor, "*n d"], q: float) -> Float[Tensor, "*n"]:
    """||v||_q over the last axis, q in {1, 2, inf}."""
    if q == 2:
        length: Tensor = torch.linalg.vector_norm(v, dim=-1)  # whose gradient at 0 is 0
        return _scaled_where_small(v, length) if v.dtype == torch.float64 else length
    if q == 1 or not v.shape[-1]:  # a unit may see nothing but padding
        return v.abs().sum(-1)
    return v.abs().amax(-1)


def _scaled_where_small(v: Tensor, length: Tensor) -> Tensor:
    """Lengths in l2, those computed from their scaled rows whose squares may have underflown."""
    small = (length < SMALL_LENGTH).nonzero()
    if not len(small) or not v.shape[-1]:  # a unit may see nothing but padding
        return length
    largest = torch.linalg.vector_norm(v.detach()[tuple(small.T)], torch.inf, dim=-1)
    small = small[largest != 0]  # rows of zeros are what they seem
    if not len(small):
        return length
    which = tuple(small.T)
    largest = largest[largest != 0]
    again = torch.linalg.vector_norm(v[which] / largest.unsqueeze(-1), dim=-1) * largest
    return length.index_put(which, again)


def steepest(v: Float[Tensor, "*n d"], q: float) -> Float[Tensor, "*n d"]:
    """The s of dual norm 1 (in p, 1/p + 1/q = 1) with s . v = ||v||_q."""
    if q == 1:
        return v.sign()
    if q == 2:
        return v / dual_length(v, 2).clamp_min(torch.finfo(v.dtype).tiny).unsqueeze(-1)
    top = v.abs().argmax(-1, keepdim=True)
    return torch.zeros_like(v).scatter_(-1, top, v.gather(-1, top).sign())
