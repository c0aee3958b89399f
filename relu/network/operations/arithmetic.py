"""Sums of values, and constants: added, multiplied, divided by."""

from typing import Any

import torch
from torch import Tensor

from relu.network.builder import Value
from relu.network.operations.call import Call


def add(call: Call) -> Value:
    """The sum of two values, or of a value and a constant."""
    return _sum(call, *two_of(call), 1.0)


def sub(call: Call) -> Value:
    """The difference of two values, or of a value and a constant."""
    return _sum(call, *two_of(call), -1.0)


def two_of(call: Call) -> tuple[Any, Any]:
    """The two that an operation takes, and nothing else."""
    if len(call.args) != 2 or call.kwargs:
        raise call.error("is used with more than two values, which is not supported")
    return call.args[0], call.args[1]


def _sum(call: Call, a: Any, b: Any, sign: float) -> Value:
    """A + sign b."""
    if isinstance(b, Value):
        b = b if sign == 1 else scaled(call, b, sign, 0.0)
        if not isinstance(a, Value):
            return scaled(call, b, 1.0, a)
        if a.shape != b.shape or not _same_order(a, b):
            raise call.error(f"adds shapes {tuple(a.shape)} and {tuple(b.shape)}")
        return call.builder.total([a, b])
    assert isinstance(a, Value)
    return scaled(call, a, 1.0, sign * b)


def _same_order(a: Value, b: Value) -> bool:
    if a.order is None or b.order is None:
        return a.order is b.order
    return torch.equal(a.order, b.order)


def mul(call: Call) -> Value:
    """A value times a constant."""
    a, b = two_of(call)
    if isinstance(a, Value) and isinstance(b, Value):
        raise call.error("multiplies two values of the network")
    return scaled(call, a, b, 0.0) if isinstance(a, Value) else scaled(call, b, a, 0.0)


def div(call: Call) -> Value:
    """A value divided by a constant."""
    a, b = two_of(call)
    if isinstance(b, Value):
        raise call.error("divides by a value of the network")
    like = call.builder.like
    return scaled(call, a, 1 / torch.as_tensor(b, dtype=like.dtype, device=like.device), 0.0)


def neg(call: Call) -> Value:
    """-z."""
    return scaled(call, call.value, -1.0, 0.0)


def scaled(call: Call, value: Value, weight: Any, bias: Any) -> Value:
    """Times a constant, plus another: numbers, or tensors that torch would broadcast."""
    factors, shifts = (_constant(call, value, constant) for constant in (weight, bias))
    by_channel = all(_by_channel(value, constant) for constant in (weight, bias))
    return call.builder.scaled(value, factors, shifts, by_channel=by_channel)


def _constant(call: Call, value: Value, constant: Any) -> Tensor:
    like = call.builder.like.detach()
    tensor = torch.as_tensor(constant, dtype=like.dtype, device=like.device)
    if tensor.ndim > len(value.shape):
        tensor = tensor.squeeze(0)
    try:
        return flat(value, tensor.expand(value.shape))
    except RuntimeError:
        raise call.error(
            f"has a constant of shape {tuple(tensor.shape)} for values of {tuple(value.shape)}"
        ) from None


def _by_channel(value: Value, constant: Any) -> bool:
    if not isinstance(constant, Tensor) or constant.numel() == 1:
        return True
    return len(value.shape) == 3 and constant.shape[-2:] == (1, 1)


def flat(value: Value, image: Tensor) -> Tensor:
    """An image in the order of the value's entries."""
    if value.order is not None:
        return torch.zeros_like(image).index_copy(0, value.order.to(image.device), image)
    return (image.permute(1, 2, 0) if image.ndim == 3 else image).flatten()
