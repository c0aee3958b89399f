"""Images and their labels; differences of logits, and the margin of a label."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

Images = Float[Tensor, "n *shape"]
"""a batch of inputs"""
Labels = Int[Tensor, " n"]
"""the class of each"""


def others(y: Int[Tensor, " n"], classes: int) -> Int[Tensor, "n k1"]:
    """All classes but the label, in order."""
    s = torch.arange(classes - 1, device=y.device).expand(len(y), -1)
    return s + (s >= y.unsqueeze(1))


def gaps(logits: Float[Tensor, "n k"], y: Int[Tensor, " n"]) -> Float[Tensor, "n k1"]:
    """f_y - f_s, for all classes s but y in order."""
    return logits.gather(1, y.unsqueeze(1)) - logits.gather(1, others(y, logits.shape[1]))


def margins(logits: Float[Tensor, "n k"], y: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Logit of the label minus the largest other logit; an input is adversarial where it is <= 0.

    A tie counts as adversarial, as in [CAH19, eq. 2].
    """
    label = y.unsqueeze(1)
    others = logits.scatter(1, label, -math.inf)
    return logits.gather(1, label).squeeze(1) - others.amax(1)
