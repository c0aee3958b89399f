"""Training with batch norm: the clean batch sets the statistics of everything in its step."""

import copy
from collections.abc import Sequence
from typing import TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor, nn

from relu.errors import InputError
from relu.network.batch_norm import FixedBatchNorm

Norm = nn.BatchNorm1d | nn.BatchNorm2d
Statistics = tuple[Tensor, Tensor]
"""mean and biased variance of each channel"""


class BatchStatistics:
    """A network in training, and one of the same weights whose batch norm stays as it was set.

    source: the network itself; its running statistics follow the batches by torch's rule. net:
    what a loss sees, attacks and bounds too; the very same module where there is no batch norm.
    Gradients of the statistics in the weights go the same way as in ordinary batch norm, but in
    two steps, so that a loss may come in parts: `net` holds the statistics as leaves, whose
    gradients `backward` carries on to the weights.
    """

    def __init__(self, source: nn.Module) -> None:
        self.source = source
        self.net, self._fixed = _twin(source)
        self._measured: dict[Norm, Statistics] = {}

    def train(self) -> None:
        """Puts everything but the batch norm of `net` into training mode."""
        self.source.train()
        self.net.train()

    def measure(self, x: Float[Tensor, "n *shape"]) -> None:
        """Sets the statistics of `net` to those of the batch x, and updates the running ones.

        A batch of one image has no spread: it takes the running statistics, and leaves them.
        Raises InputError where a module normalises twice in one pass.
        """
        plenty = self._fixed and len(x) > 1
        self._measured = _statistics(self.source, list(self._fixed), x) if plenty else {}
        for norm, fixed in self._fixed.items():
            assert norm.running_mean is not None and norm.running_var is not None
            mean, var = self._measured.get(norm, (norm.running_mean, norm.running_var))
            fixed.running_mean = mean.detach().requires_grad_(norm in self._measured)
            fixed.running_var = var.detach().requires_grad_(norm in self._measured)

    def zero_grad(self) -> None:
        """Forgets gradients, those of the statistics too."""
        self.source.zero_grad(set_to_none=True)
        for fixed in self._fixed.values():
            fixed.running_mean.grad = None
            fixed.running_var.grad = None

    def backward(self) -> None:
        """Adds to the weights' gradients what the loss owes to the statistics' gradients."""
        measured, self._measured = self._measured, {}
        pairs = [
            (value, leaf.grad)
            for norm, values in measured.items()
            for value, leaf in zip(values, _leaves(self._fixed[norm]), strict=True)
        ]
        known = [(value, grad) for value, grad in pairs if value.requires_grad and grad is not None]
        if known:
            values, grads = zip(*known, strict=True)
            torch.autograd.backward(values, grads)


def _leaves(fixed: FixedBatchNorm) -> Statistics:
    return fixed.running_mean, fixed.running_var


def _twin(source: nn.Module) -> tuple[nn.Module, dict[Norm, FixedBatchNorm]]:
    """The network with fixed batch norm, all its tensors shared, and which stands for which."""
    fixed = {module: FixedBatchNorm(module) for module in source.modules() if _is_norm(module)}
    if not fixed:
        return source, {}
    tensors = (*source.parameters(), *source.buffers())
    shared: dict[int, object] = {id(tensor): tensor for tensor in tensors}
    return copy.deepcopy(source, shared | {id(norm): fixed[norm] for norm in fixed}), fixed


def _is_norm(module: nn.Module) -> TypeGuard[Norm]:
    """Whether it is torch's own batch norm, with running statistics for later."""
    own = type(module) in (nn.BatchNorm1d, nn.BatchNorm2d)
    return own and getattr(module, "running_mean", None) is not None


def _statistics(net: nn.Module, norms: Sequence[Norm], x: Tensor) -> dict[Norm, Statistics]:
    """Of every module that takes part, in an ordinary pass, with what autograd needs."""
    measured: dict[Norm, Statistics] = {}

    def measure(norm: Norm, inputs: tuple[Tensor, ...]) -> None:
        if norm in measured:
            raise InputError("a batch norm that is used twice in one pass cannot be trained")
        (z,) = inputs
        dims = [i for i in range(z.ndim) if i != 1]
        mean = z.mean(dims, keepdim=True)  # twice as fast as torch.var_mean, with its gradient
        measured[norm] = mean.flatten(), (z - mean).square().mean(dims)

    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    try:
        net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return measured
