"""Batch norm with fixed statistics: as one affine map, and differentiable in the statistics."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class FixedBatchNorm(nn.Module):
    """(z - mean) / sqrt(var + eps) * weight + bias, channel by channel, in any mode.

    Made of a torch module, whose weight and bias it shares and whose running statistics it starts
    with. Gradients flow to the statistics too, which torch's module refuses.
    """

    running_mean: Float[Tensor, " c"]
    running_var: Float[Tensor, " c"]

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None and norm.running_var is not None
        self.num_features = norm.num_features
        self.eps = norm.eps
        self.weight = norm.weight
        self.bias = norm.bias
        self.register_buffer("running_mean", norm.running_mean)
        self.register_buffer("running_var", norm.running_var)

    def forward(self, z: Float[Tensor, "n c *sides"]) -> Float[Tensor, "n c *sides"]:
        scale, shift = scale_and_shift(self)
        # Of mean 0 and variance 1, torch's kernel is z * scale + shift, forward and backward.
        zeros = torch.zeros_like(self.running_mean)
        return F.batch_norm(z, zeros, torch.ones_like(zeros), scale, shift, eps=0.0)


def scale_and_shift(
    norm: nn.BatchNorm1d | nn.BatchNorm2d | FixedBatchNorm,
) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """What z is multiplied with, and what is added, in evaluation mode; there must be statistics.

    scale = weight / sqrt(var + eps), shift = bias - mean * scale.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias
    return scale, shift
