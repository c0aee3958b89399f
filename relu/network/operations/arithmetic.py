"""Sums of values, and constants: added, multiplied, divided by."""

from typing import Any

import torch
from torch import Tensor

from relu.network.blocks import GeneralConv
from relu.network.layers import Conv
from relu.network.operations.call import Call
from relu.network.operations.order import settled
from relu.network.value import Value


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
        if a.shape != b.shape:
            raise call.error(f"adds shapes {tuple(a.shape)} and {tuple(b.shape)}")
        if not _same_order(a, b):
            a, b = (settled(call.builder, value) for value in (a, b))
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
    by_channel = all(is_by_channel(value, constant) for constant in (weight, bias))
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


def is_by_channel(value: Value, constant: Any) -> bool:
    """Whether a constant is a number for each channel, of images and of the map before them."""
    if not isinstance(constant, Tensor) or constant.numel() == 1:
        return True
    affine = value.alone[1] if value.alone is not None else None
    if isinstance(affine, Conv | GeneralConv) and len(affine.weight) != value.shape[0]:
        return False
    return value.order is None and len(value.shape) == 3 and constant.shape[-2:] == (1, 1)


def flat(value: Value, image: Tensor) -> Tensor:
    """An image in the order of the value's entries."""
    if value.order is not None:
        entries = image.flatten()
        return torch.zeros_like(entries).index_copy(0, value.order.to(image.device), entries)
    return (image.permute(1, 2, 0) if image.ndim == 3 else image).flatten()
