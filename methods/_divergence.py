"""The Kullback-Leibler divergence between what a network says of an input and of another."""

from jaxtyping import Float
from torch import Tensor


def divergence(clean: Float[Tensor, "n k"], attacked: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """KL(p || p') of the softmax of both logits: the sum of p (log p - log p')."""
    log_p = clean.log_softmax(1)
    return (log_p.exp() * (log_p - attacked.log_softmax(1))).sum(1)
