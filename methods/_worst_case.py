"""The cross-entropy of the worst logits that lower bounds of margins leave possible."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def worst_cross_entropy(margins: Float[Tensor, "n k1"]) -> Float[Tensor, ""]:
    """The mean of log(1 + sum_s exp(-m_s)), m_s lower bounds of f_y - f_s [WK18, Theorem 2].

    It is the cross-entropy where the label's logit is 0 and the others are -m_s, at least the
    largest cross-entropy that the bounds leave possible.
    """
    return worst_cross_entropies(margins).mean()


def worst_cross_entropies(margins: Float[Tensor, "n k1"]) -> Float[Tensor, " n"]:
    """The same for each input."""
    logits = F.pad(-margins, (1, 0))
    label = torch.zeros(len(margins), dtype=torch.long, device=margins.device)
    return F.cross_entropy(logits, label, reduction="none")
