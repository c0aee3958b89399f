"""ReLUs of all kinds."""

from dataclasses import dataclass

import torch

from relu.network.builder import Value
from relu.network.operations.call import Call


@dataclass(frozen=True, eq=False)
class Unrectified(Value):
    """A value whose ReLU comes after the pooling that alone takes it: max and ReLU commute."""

    leak: float = 0.0


def relu(call: Call) -> Value:
    """A unit of its own for each entry."""
    return _activated(call, 0.0)


def leaky(call: Call) -> Value:
    """Z where z > 0, negative_slope z elsewhere."""
    return _activated(call, float(call.setting("negative_slope", 1, 0.01)))


def _activated(call: Call, leak: float) -> Value:
    if not 0 <= leak <= 1:
        raise call.error(f"has slope {leak:g}, expected one from 0 to 1")
    value = call.value
    if call.only_for_maximum and len(value.shape) == 3:
        return Unrectified(**vars(value), leak=leak)
    return call.builder.activated(value, leak)


def relu6(call: Call) -> Value:
    """relu(z) - relu(z - 6)."""
    value = call.value
    ones = call.builder.like.detach().new_ones(value.size)
    above = call.builder.scaled(value, ones, -6 * ones, by_channel=True)
    low = call.builder.activated(value, 0.0)
    high = call.builder.activated(above, 0.0)
    minus = call.builder.scaled(high, -ones, torch.zeros_like(ones), by_channel=True)
    return call.builder.total([low, minus])
