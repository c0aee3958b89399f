"""ReLUs, clipping, and arithmetic with constants."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from relu.network.layers import Shape
from relu.network.onnx.call import Call
from relu.network.onnx.network import Symbol, Weight

LARGEST = 3.4028234e38  # a bound there or beyond is none, of float32


def relu(call: Call) -> Symbol:
    """Max(z, 0)."""
    return call.apply(torch.relu, call.value)


def leaky_relu(call: Call) -> Symbol:
    """Z where z > 0, alpha z elsewhere."""
    return _leaky(call, call.number("alpha", 0.01))


def prelu(call: Call) -> Symbol:
    """A leaky ReLU whose slope is a weight: one number for all."""
    slopes = call.required(1)
    if slopes.dtype.kind != "f" or not slopes.size or (slopes != slopes.flat[0]).any():
        raise call.error("has more than one slope, which is not supported")
    return _leaky(call, float(slopes.flat[0]))


def _leaky(call: Call, slope: float) -> Symbol:
    if not 0 <= slope <= 1:
        raise call.error(f"has slope {slope:g}, expected one from 0 to 1")
    return call.apply(F.leaky_relu, call.value, slope)


def clip(call: Call) -> Symbol:
    """Z between two numbers, of which each may be missing."""
    low, high = (_bound(call, name, place) for name, place in (("min", 1), ("max", 2)))
    bounds = {"min": low, "max": high}
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    if low is not None and high is not None and low > high:
        raise call.error(f"has bounds {low:g} and {high:g}, expected them in order")
    return call.apply(torch.clamp, call.value, **given) if given else call.value


def _bound(call: Call, name: str, place: int) -> float | None:
    sign = -1 if name == "min" else 1
    if call.opset < 11:
        bound = call.number(name, sign * LARGEST)
    else:
        constant = call.constant(place)
        if constant is None:
            return None
        if constant.dtype.kind != "f" or constant.size != 1:
            raise call.error(f"needs one number as its {name}")
        bound = float(constant.flat[0])
    if np.isnan(bound) or sign * bound <= -LARGEST:
        raise call.error(f"has {name} {bound:g}, expected a finite number")
    return bound if sign * bound < LARGEST else None


def neg(call: Call) -> Symbol:
    """-z."""
    return call.apply(torch.neg, call.value)


def add(call: Call) -> Symbol:
    """A sum of two values, or of a value and a constant."""
    return _arithmetic(call, torch.add)


def sub(call: Call) -> Symbol:
    """A difference of two values, or of a value and a constant, in either order."""
    return _arithmetic(call, torch.sub)


def mul(call: Call) -> Symbol:
    """A value times a constant."""
    _require_constant(call)
    return _arithmetic(call, torch.mul)


def div(call: Call) -> Symbol:
    """A value divided by a constant."""
    _require_constant(call)
    divisor = call.required(1)
    if not divisor.all():
        raise call.error("divides by zero")
    return _arithmetic(call, torch.div)


def _require_constant(call: Call) -> None:
    if all(isinstance(value, Symbol) for value in call.inputs):
        raise call.error("takes two values of the network, which is no affine function")


def _arithmetic(call: Call, function: Callable[..., Any]) -> Symbol:
    a, b = call.inputs[:2]
    if isinstance(a, Symbol) and isinstance(b, Symbol):
        if a.shape != b.shape:
            raise call.error(f"takes values of shapes {a.shape} and {b.shape}, expected one shape")
        return call.apply(function, a, b)
    if isinstance(a, Symbol) and b is not None:
        return call.apply(function, a, operand(call, b, a.shape))
    if isinstance(b, Symbol) and a is not None:
        return call.apply(function, operand(call, a, b.shape), b)
    raise call.error("needs two inputs")


def operand(call: Call, constant: Any, shape: Shape) -> Weight:
    """A constant that is added to values of a shape, without the inputs' axis."""
    array: np.ndarray = constant
    if array.ndim == len(shape) + 1 and len(array) == 1:
        array = array[0]
    fits = array.ndim <= len(shape) and all(
        a in (1, b) for a, b in zip(array.shape[::-1], shape[::-1], strict=False)
    )
    if not fits:
        raise call.error(
            f"has a constant of shape {constant.shape} for values of {('n', *shape)}, "
            "which would become larger"
        )
    return call.buffer("constant", array)
