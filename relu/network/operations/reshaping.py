"""Operations that move entries and change none."""

import math
from dataclasses import replace
from typing import Any

import torch

from relu.network.builder import Value
from relu.network.operations.call import Call


def flatten(call: Call) -> Value:
    """All axes but the first in one."""
    start = call.setting("start_dim", 1, 0)
    if start != 1 or call.setting("end_dim", 2, -1) not in (-1, len(call.value.shape)):
        raise call.error("flattens other axes than all but the first")
    return _as_vector(call.value)


def _as_vector(value: Value) -> Value:
    if len(value.shape) == 1:
        return value
    channels, height, width = value.shape
    order = None
    if channels > 1 and height * width > 1:
        numbers = torch.arange(value.size).view(height, width, channels)
        order = numbers.permute(2, 0, 1).flatten()
    return replace(value, shape=(value.size,), order=order)


def reshape(call: Call) -> Value:
    """Vectors of images, or images of vectors."""
    value = call.value
    sizes = call.args[1] if isinstance(call.args[1], tuple | list) else call.args[1:]
    wanted = [size for size in sizes[1:] if isinstance(size, int)]
    if sizes[0] not in ("batch", -1):
        raise call.error(f"gives {sizes[0]} inputs, which is not supported")
    if len(wanted) == len(sizes) - 1 == 1 and wanted[0] in (-1, value.size):
        return _as_vector(value)
    if len(wanted) == len(sizes) - 1 == 3 and math.prod(wanted) == value.size:
        return _as_images(call, value, (wanted[0], wanted[1], wanted[2]))
    raise call.error(f"makes {tuple(sizes)} of {tuple(value.shape)}, which is not supported")


def _as_images(call: Call, value: Value, shape: tuple[int, int, int]) -> Value:
    vector = _as_vector(value)
    channels, height, width = shape
    numbers = torch.arange(value.size) if vector.order is None else vector.order
    entries = numbers.view(channels, height, width).permute(1, 2, 0).flatten()
    if torch.equal(entries, torch.arange(value.size)):
        return replace(vector, shape=shape, order=None)
    plain = call.builder.plain(vector)
    source = plain.terms[0][0]
    first = source.start if isinstance(source, slice) else 0
    chosen = entries + first if isinstance(source, slice) else source.cpu()[entries]
    term = (chosen.to(call.builder.like.device), None, slice(0, value.size))
    return Value(plain.level, (term,), value.size, shape)


def size(call: Call) -> Any:
    """Of the batch: whatever is done with it, the inputs stay apart."""
    sizes = ("batch", *call.value.shape)
    return sizes[call.args[1]] if len(call.args) > 1 else sizes


def unchanged(call: Call) -> Value:
    """The value itself."""
    return call.value


def cat(call: Call) -> Value:
    """Values side by side, along channels or features."""
    values = call.args[0]
    dim = call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else 0)
    if dim not in (1, -len(values[0].shape)) or not all(isinstance(v, Value) for v in values):
        raise call.error("joins along another axis than channels or features")
    if len({v.shape[1:] for v in values}) > 1 or any(v.order is not None for v in values):
        raise call.error("joins shapes that do not fit")
    shape = (sum(v.shape[0] for v in values), *values[0].shape[1:])
    device = call.builder.like.device
    numbers = torch.arange(math.prod(shape), device=device).view(-1, shape[0])
    targets = [part.flatten() for part in numbers.split([v.shape[0] for v in values], dim=1)]
    return call.builder.joined(values, targets, shape)


def dropout(call: Call) -> Value:
    """The value itself, in evaluation mode."""
    if call.setting("training", 2, True):
        raise call.error("is random: it must be in evaluation mode")
    return call.value
