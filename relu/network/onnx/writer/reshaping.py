"""Operations that move entries, and those that do nothing."""

from relu.network.onnx.network import Symbol
from relu.network.onnx.writer.call import Call


def reshape(call: Call) -> Symbol:
    """Flatten where a vector comes out, else Reshape: all that keeps the entries' order."""
    if call.shape == call.value.shape:
        return call.value
    if len(call.shape) == 1:
        return call.add("Flatten", [call.value.name], axis=1)
    sizes = call.file.sizes(f"{call.node}.shape", [-1, *call.shape])
    return call.add("Reshape", [call.value.name, sizes])


def permute(call: Call) -> Symbol:
    """Transpose: the axes but the first in another order."""
    dims = call.setting("dims", 1, ())
    dims = dims if isinstance(dims, tuple | list) else call.args[1:]
    return _transposed(call, [dim % len(dims) for dim in dims])


def transpose(call: Call) -> Symbol:
    """Transpose: two axes exchanged."""
    rank = len(call.value.shape) + 1
    first, second = (call.axis(call.setting(f"dim{i}", i + 1, 0), rank) for i in range(2))
    order = list(range(rank))
    order[first], order[second] = second, first
    return _transposed(call, order)


def _transposed(call: Call, order: list[int]) -> Symbol:
    if order[0]:
        raise call.error("moves the axis of the inputs")
    return call.add("Transpose", [call.value.name], perm=order)


def cat(call: Call) -> Symbol:
    """Concat, along any axis but the first."""
    values = call.setting("tensors", 0, ())
    if not values or not all(isinstance(value, Symbol) for value in values):
        raise call.error("joins a constant to a value of the network")
    axis = call.axis(call.setting("dim", 1, 0), len(call.shape) + 1)
    return call.add("Concat", [value.name for value in values], axis=axis)


def pad(call: Call) -> Symbol:
    """Pad: one number around the value."""
    if call.setting("mode", 2, "constant") != "constant":
        raise call.error("pads with something else than a number")
    widths = list(call.setting("pad", 1, ()))
    rank = len(call.value.shape) + 1
    widths += [0] * (2 * rank - len(widths))
    pads = [*widths[0::2][::-1], *widths[1::2][::-1]]
    sizes = call.file.sizes(f"{call.node}.pads", pads)
    fill = call.file.fill(f"{call.node}.value", call.setting("value", 3, None) or 0.0)
    return call.add("Pad", [call.value.name, sizes, fill])


def unchanged(call: Call) -> Symbol:
    """The value itself."""
    return call.value


def dropout(call: Call) -> Symbol:
    """The value itself, in evaluation mode."""
    if call.setting("training", 2, True):
        raise call.error("is random, in evaluation mode, too")
    return call.value
