"""Operations that move entries: shapes, axes, values side by side, padding."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from relu.network.onnx.call import Call
from relu.network.onnx.limits import shown
from relu.network.onnx.network import Symbol
from relu.network.onnx.operations.elementwise import LARGEST


def identity(call: Call) -> Symbol:
    """The value itself."""
    return call.value


def dropout(call: Call) -> Symbol:
    """The value itself: in training alone it is anything else."""
    training = call.constant(2)
    if training is not None and training.any():
        raise call.error("is random: it is in training mode")
    return call.value


def flatten(call: Call) -> Symbol:
    """Two axes, of which the first is the inputs'."""
    shape = call.value.shape
    rank = len(shape) + 1
    axis = call.integer("axis", 1)
    axis += rank if axis < 0 else 0
    if not 1 <= axis <= rank or math.prod(shape[: axis - 1]) != 1:
        raise call.error("changes the axis of the inputs")
    return reshaped(call, call.value, (math.prod(shape),))


def reshaped(call: Call, value: Symbol, shape: Sequence[int]) -> Symbol:
    """The same entries in another shape, the inputs' axis apart."""
    if not shape:
        raise call.error("leaves no axis but the inputs'")
    if tuple(shape) == value.shape:
        return value
    return call.apply(torch.reshape, value, (-1, *shape))


def reshape(call: Call) -> Symbol:
    """Another shape; where it names the inputs' axis (1, 0 or -1), that is as long as it has to be.

    Raises InputError where the shape would make more or fewer inputs of one.
    """
    value = call.value
    sizes = call.listed("shape", 1, 5) or ()
    before = (1, *value.shape)
    if not call.integer("allowzero", 0):
        if any(size == 0 and i >= len(before) for i, size in enumerate(sizes)):
            raise call.error("keeps an axis that is not there")
        sizes = tuple(size or before[i] for i, size in enumerate(sizes))
    known = math.prod(size for size in sizes if size != -1)
    if sizes.count(-1) == 1 and known > 0:
        sizes = tuple(math.prod(before) // known if size == -1 else size for size in sizes)
    if any(size < 1 for size in sizes) or math.prod(sizes) != math.prod(before):
        raise call.error(f"makes {list(sizes)[:8]} of {('n', *value.shape)}")
    if not sizes or sizes[0] != 1:
        raise call.error("changes the axis of the inputs")
    return reshaped(call, value, sizes[1:])


def squeeze(call: Call) -> Symbol:
    """Without axes of one entry."""
    shape = call.value.shape
    numbers = call.listed("axes", 1, 13)
    if numbers is None:
        raise call.error("removes every axis of one entry, the inputs' too")
    axes = call.axes(numbers, len(shape) + 1)
    if any(shape[axis - 1] != 1 for axis in axes):
        raise call.error(f"removes axes of more than one entry of {('n', *shape)}")
    rest = [size for i, size in enumerate(shape, 1) if i not in axes]
    return reshaped(call, call.value, rest)


def unsqueeze(call: Call) -> Symbol:
    """With more axes, of one entry each."""
    numbers = call.listed("axes", 1, 13)
    if numbers is None:
        raise call.error("has no axes")
    rank = len(call.value.shape) + 1 + len(numbers)
    axes = call.axes(numbers, rank)
    sizes = iter(call.value.shape)
    return reshaped(
        call, call.value, [1 if axis in axes else next(sizes) for axis in range(1, rank)]
    )


def transpose(call: Call) -> Symbol:
    """The axes in another order, the inputs' first."""
    rank = len(call.value.shape) + 1
    order = call.integers("perm") or tuple(range(rank))[::-1]
    if sorted(order) != list(range(rank)):
        raise call.error(f"has the order {list(order)[:8]} of {rank} axes")
    return permuted(call, call.value, order)


def permuted(call: Call, value: Symbol, order: Sequence[int]) -> Symbol:
    """The axes in another order."""
    if order[0] != 0:
        raise call.error("changes the axis of the inputs")
    if list(order) == sorted(order):
        return value
    return call.apply(torch.permute, value, tuple(order))


def concat(call: Call) -> Symbol:
    """Values side by side."""
    values = [value for value in call.inputs if isinstance(value, Symbol)]
    if len(values) < len(call.inputs):
        raise call.error("joins a constant to a value of the network")
    rank = len(values[0].shape) + 1
    (axis,) = call.axes([call.integer("axis", 0)], rank)
    return call.apply(torch.cat, values, dim=axis)


def pad(call: Call) -> Symbol:
    """A number around the value; -inf, or float32's least, for a max-pooling after it."""
    value = call.value
    mode = call.text("mode", "constant")
    if mode != "constant":
        raise call.error(f"pads by {shown(mode)}, expected 'constant'")
    widths = _widths(call, len(value.shape) + 1)
    number = _number(call)
    if number <= -LARGEST:
        return call.apply(F.pad, value, widths, value=-math.inf)
    padded = call.apply(F.pad, value, widths) if any(widths) else value
    if not number:
        return padded
    inside = torch.zeros(1, *value.shape)
    border = F.pad(inside, widths, value=number)
    return call.apply(torch.add, padded, call.buffer("border", border[0].numpy()))


def _widths(call: Call, rank: int) -> list[int]:
    """As torch wants them: the last axis first, and none of the inputs'."""
    listed = call.listed("pads", 1, 11) or ()
    axes = call.listed("axes", 3, 18) if call.opset >= 18 else None
    numbers = range(rank) if axes is None else [axis % rank for axis in axes]
    if len(listed) != 2 * len(numbers) or len(set(numbers)) < len(numbers):
        raise call.error(f"has {len(listed)} widths for {len(numbers)} axes, expected two for each")
    if min(listed, default=0) < 0:
        raise call.error("takes something away, which is not supported")
    ends = {axis: (listed[i], listed[i + len(numbers)]) for i, axis in enumerate(numbers)}
    if ends.get(0, (0, 0)) != (0, 0):
        raise call.error("changes the axis of the inputs")
    widths = [width for axis in range(rank - 1, 0, -1) for width in ends.get(axis, (0, 0))]
    while len(widths) > 4 and widths[-2:] == [0, 0]:
        widths = widths[:-2]
    return widths


def _number(call: Call) -> float:
    if call.opset < 11:
        number = call.number("value", 0.0)
    else:
        constant = call.constant(2)
        number = 0.0 if constant is None else float(np.asarray(constant).reshape(()))
    if math.isnan(number) or number >= LARGEST:
        raise call.error(f"pads with {number:g}")
    return number
