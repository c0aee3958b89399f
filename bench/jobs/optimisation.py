"""How a training moves weights: optimisers, learning rates, clipping, l1, averages of weights."""

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.plugins.training import Training

RISE = 0.3  # of a training, within which "one_cycle" reaches its learning rate
FIRST = 1 / 25  # of the learning rate, where "one_cycle" begins


def rate_factor(training: Training, progress: float) -> float:
    """What the learning rate is multiplied by at this share of the training, by its schedule."""
    if training.schedule == "steps":
        passed = sum(progress >= milestone for milestone in training.milestones)
        return training.decay**passed
    if training.schedule == "cosine":
        return _half_wave(progress)
    if training.schedule == "one_cycle":
        if progress < RISE:
            return 1 - (1 - FIRST) * _half_wave(progress / RISE)
        return _half_wave((progress - RISE) / (1 - RISE))
    return 1.0


def _half_wave(s: float) -> float:
    """From 1 at s = 0 to 0 at s = 1, level at both ends."""
    return (1 + math.cos(math.pi * s)) / 2


class Optimisation:
    """An optimiser of torch with the schedule and the penalties of a training."""

    def __init__(self, net: nn.Module, training: Training) -> None:
        self.training = training
        self.weights = [p for p in net.parameters() if p.requires_grad]
        self.optimizer = _optimizer(self.weights, training)

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def step(self, progress: float) -> None:
        """One step along the gradients that the weights have."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.training.lr * rate_factor(self.training, progress)
        if self.training.l1:
            for weight in self.weights:
                if weight.ndim > 1 and weight.grad is not None:
                    weight.grad.add_(weight.detach().sign(), alpha=self.training.l1)
        if self.training.clip is not None:
            nn.utils.clip_grad_norm_(self.weights, self.training.clip)
        self.optimizer.step()


def _optimizer(weights: list[nn.Parameter], training: Training) -> torch.optim.Optimizer:
    decay = training.weight_decay
    if training.optimizer == "sgd":
        return torch.optim.SGD(
            weights, lr=training.lr, momentum=training.momentum, weight_decay=decay
        )
    if training.optimizer == "radam":
        return torch.optim.RAdam(weights, lr=training.lr, weight_decay=decay)
    # Fused, as its square roots are those of IEEE 754; MKL's differ from CPU to CPU in last bits.
    kind = torch.optim.AdamW if training.optimizer == "adamw" else torch.optim.Adam
    return kind(weights, lr=training.lr, weight_decay=decay, fused=True)


class Average:
    """The mean of a network's weights after several epochs, as a network [IPGVW18].

    Statistics of batch norm are measured anew, on batches of the training set (`measure`).
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = copy.deepcopy(net)
        self.count = 0

    def add(self, net: nn.Module) -> None:
        """Takes the network's weights into the mean."""
        self.count += 1
        with torch.no_grad():
            for mean, weight in zip(self.net.parameters(), net.parameters(), strict=True):
                mean.add_((weight - mean) / self.count)
            for kept, buffer in zip(self.net.buffers(), net.buffers(), strict=True):
                kept.copy_(buffer)

    def measure(self, x: Tensor, batch: int) -> None:
        """Statistics of batch norm: the means over these inputs' batches, of two or more each.

        Of a single input there are none: the network's last ones stay.
        """
        norms = [m for m in self.net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        if not norms or len(x) < 2:
            return
        momenta = [norm.momentum for norm in norms]
        self.net.train()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's word for a plain mean over batches
        with torch.no_grad():
            for part in x.split(max(2, batch)):
                if len(part) > 1:
                    self.net(part)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        self.net.eval()

    def state(self) -> dict[str, Any]:
        """What `load` goes on from."""
        return {"net": self.net.state_dict(), "count": self.count}

    def load(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state."""
        self.net.load_state_dict(state["net"])
        self.count = state["count"]
