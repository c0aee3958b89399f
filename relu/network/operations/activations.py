"""ReLUs of all kinds."""

import math
from dataclasses import dataclass

from relu.network.operations.arithmetic import scaled
from relu.network.operations.call import Call
from relu.network.value import Value


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
    """Z between 0 and 6."""
    return _between(call, 0.0, 6.0)


def clamp(call: Call) -> Value:
    """Z between two numbers, of which one may be missing."""
    low, high = (call.setting(name, place, None) for name, place in (("min", 1), ("max", 2)))
    numbers = [bound for bound in (low, high) if bound is not None]
    finite = all(isinstance(bound, int | float) and math.isfinite(bound) for bound in numbers)
    if not numbers or not finite or numbers != sorted(numbers):
        raise call.error(f"has bounds {low} and {high}, expected finite numbers in order")
    return _between(call, low, high)


def _between(call: Call, low: float | None, high: float | None) -> Value:
    """Low + relu(z - low) - relu(z - high); z for low + relu(z - low) where there is no low."""
    value = call.value
    parts = [value]
    if low is not None:
        above = call.builder.activated(scaled(call, value, 1.0, -low) if low else value, 0.0)
        parts = [scaled(call, above, 1.0, low) if low else above]
    if high is not None:
        beyond = call.builder.activated(scaled(call, value, 1.0, -high), 0.0)
        parts.append(scaled(call, beyond, -1.0, 0.0))
    return call.builder.total(parts)
