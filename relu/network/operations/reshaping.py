"""Operations that move entries and change none."""

import math
from typing import Any

import torch

from relu.network.operations.call import Call
from relu.network.operations.order import moved, order_of, places_of, usual_order
from relu.network.operations.pooling import Padded
from relu.network.value import Value

BATCH = "batch"  # stands for how many inputs there are


def flatten(call: Call) -> Value:
    """All axes but the first in one."""
    start = call.setting("start_dim", 1, 0)
    if start != 1 or call.setting("end_dim", 2, -1) not in (-1, len(call.value.shape)):
        raise call.error("flattens other axes than all but the first")
    return moved(call.value, places_of(call.value).flatten())


def reshape(call: Call) -> Value:
    """Another shape of the same entries, in torch's order."""
    value = call.value
    sizes = call.args[1] if isinstance(call.args[1], tuple | list) else call.args[1:]
    wanted = [size for size in sizes[1:] if isinstance(size, int)]
    if sizes[0] not in (BATCH, -1):
        raise call.error(f"gives {sizes[0]} inputs, which is not supported")
    known = math.prod(size for size in wanted if size != -1)
    unknown = wanted.count(-1)
    fits = known == value.size if not unknown else known > 0 and value.size % known == 0
    if not wanted or len(wanted) < len(sizes) - 1 or unknown > 1 or not fits:
        raise call.error(f"makes {tuple(sizes)} of {tuple(value.shape)}, which is not supported")
    return moved(value, places_of(value).view(wanted))


def permute(call: Call) -> Value:
    """The axes but the first in another order."""
    dims = call.args[1] if isinstance(call.args[1], tuple | list) else call.args[1:]
    rank = len(call.value.shape) + 1
    axes = [dim % rank for dim in dims]
    if axes[0] != 0:
        raise call.error("moves the axis of the inputs")
    return moved(call.value, places_of(call.value).permute([axis - 1 for axis in axes[1:]]))


def transpose(call: Call) -> Value:
    """Two axes but the first exchanged."""
    first, second = (_axis(call, dim, 0) for dim in call.args[1:3])
    return moved(call.value, places_of(call.value).transpose(first, second))


def squeeze(call: Call) -> Value:
    """Without an axis of one entry."""
    if len(call.args) != 2 or not isinstance(call.args[1], int):
        raise call.error("must name the one axis that it removes")
    return moved(call.value, places_of(call.value).squeeze(_axis(call, call.args[1], 0)))


def unsqueeze(call: Call) -> Value:
    """With one more axis, of one entry."""
    return moved(call.value, places_of(call.value).unsqueeze(_axis(call, call.args[1], 1)))


def _axis(call: Call, dim: int, more: int) -> int:
    """The number of an axis among those of one input."""
    axis = dim % (len(call.value.shape) + 1 + more) - 1
    if axis < 0:
        raise call.error("changes the axis of the inputs")
    return axis


def pad(call: Call) -> Value:
    """Zeros around the value; or, before a max-pooling alone, entries that never win."""
    value = call.value
    widths = tuple(call.args[1])
    fill = call.setting("value", 3, None) or 0.0
    if call.setting("mode", 2, "constant") != "constant" or fill not in (0.0, -math.inf):
        raise call.error("pads with something else than zeros")
    if min(widths) < 0 or len(widths) > 2 * len(value.shape):
        raise call.error("pads the axis of the inputs, or takes something away")
    if fill:
        if not call.only_for_maximum or len(widths) != 4 or len(value.shape) != 3:
            raise call.error("pads images with -inf, which only a max-pooling may take")
        return Padded(**vars(value), widths=(widths[0], widths[1], widths[2], widths[3]))
    numbers = torch.nn.functional.pad(places_of(value) + 1, list(widths)).flatten() - 1
    usual = usual_order(torch.nn.functional.pad(places_of(value), list(widths)).shape)
    inside = numbers >= 0
    places = torch.empty(value.size, dtype=torch.long)
    places[order_of(value)[numbers[inside]]] = usual[inside]
    places = places.to(call.builder.like.device)
    terms = tuple((source, affine, places[target]) for source, affine, target in value.terms)
    shape = tuple(torch.nn.functional.pad(places_of(value), list(widths)).shape)
    return Value(value.level, terms, len(numbers), shape)


def size(call: Call) -> Any:
    """Of the batch: whatever is done with it, the inputs stay apart."""
    sizes = (BATCH, *call.value.shape)
    return sizes[call.args[1]] if len(call.args) > 1 else sizes


def attribute(call: Call) -> Any:
    """The shape of a value, the only attribute that is read."""
    if call.args[1] != "shape":
        raise call.error(f"reads {call.args[1]}, which is not supported")
    return (BATCH, *call.value.shape)


def entry(call: Call) -> Any:
    """Of a value's sizes."""
    if not is_sizes(call.args[0]):
        raise call.error("takes parts of a value, which is not supported")
    return call.args[0][call.args[1]]


def is_sizes(value: object) -> bool:
    """Whether it is what `size` and `attribute` give."""
    return isinstance(value, tuple) and value[:1] == (BATCH,)


def unchanged(call: Call) -> Value:
    """The value itself."""
    return call.value


def cat(call: Call) -> Value:
    """Values side by side, along any axis but the first."""
    values = call.args[0]
    dim = call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else 0)
    if not all(isinstance(value, Value) for value in values):
        raise call.error("joins a constant to a value")
    rank = len(values[0].shape) + 1
    axis = dim % rank - 1
    others = {value.shape[:axis] + value.shape[axis + 1 :] for value in values}
    if axis < 0 or len(others) > 1 or any(len(value.shape) != rank - 1 for value in values):
        raise call.error("joins shapes that do not fit, or inputs")
    lengths = [value.shape[axis] for value in values]
    shape = (*values[0].shape[:axis], sum(lengths), *values[0].shape[axis + 1 :])
    parts = usual_order(shape).view(shape).split(lengths, dim=axis)
    device = call.builder.like.device
    targets = [
        torch.empty(value.size, dtype=torch.long)
        .index_copy(0, order_of(value), part.flatten())
        .to(device)
        for value, part in zip(values, parts, strict=True)
    ]
    return call.builder.joined(values, targets, shape)


def dropout(call: Call) -> Value:
    """The value itself, in evaluation mode."""
    if call.setting("training", 2, True):
        raise call.error("is random: it must be in evaluation mode")
    return call.value
