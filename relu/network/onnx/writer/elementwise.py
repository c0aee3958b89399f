"""Operations on each entry: activations, and arithmetic of two."""

import math
from collections.abc import Callable

from relu.network.onnx.network import Symbol
from relu.network.onnx.writer.call import Call


def relu(call: Call) -> Symbol:
    """Relu."""
    return call.add("Relu", [call.value.name])


def leaky(call: Call) -> Symbol:
    """LeakyRelu with its slope."""
    slope = float(call.setting("negative_slope", 1, 0.01))
    return call.add("LeakyRelu", [call.value.name], alpha=slope)


def relu6(call: Call) -> Symbol:
    """Clip to 0 and 6."""
    return _clipped(call, 0.0, 6.0)


def clamp(call: Call) -> Symbol:
    """Clip to two numbers, of which one may be missing."""
    return _clipped(call, call.setting("min", 1, None), call.setting("max", 2, None))


def _clipped(call: Call, low: float | None, high: float | None) -> Symbol:
    names = []
    for role, bound in (("min", low), ("max", high)):
        if bound is not None and not (isinstance(bound, int | float) and math.isfinite(bound)):
            raise call.error(f"has the bound {bound}, expected a finite number")
        names.append("" if bound is None else call.operand(role, float(bound)))
    if not any(names):
        raise call.error("has no bounds")
    return call.add("Clip", [call.value.name, *names])


def negative(call: Call) -> Symbol:
    """Neg."""
    return call.add("Neg", [call.value.name])


def of_two(operation: str) -> Callable[[Call], Symbol]:
    """Add, Sub, Mul or Div of values, or of a value and a constant."""

    def written(call: Call) -> Symbol:
        if len(call.args) != 2 or call.kwargs:
            raise call.error("is used with more than two values, which is not supported")
        names = [call.operand(role, arg) for role, arg in zip("ab", call.args, strict=True)]
        return call.add(operation, names)

    return written
