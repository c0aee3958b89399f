"""Operations on constants: shapes that an exporter computes, weights that it transposes."""

from collections.abc import Callable, Mapping

import numpy as np

from relu.network.onnx.call import Call
from relu.network.onnx.network import Symbol
from relu.network.onnx.parsing import DTYPES

MOST_AXES = 8


def shape(call: Call) -> np.ndarray:
    """Of a value or a constant; there is one input."""
    value = call.input(0)
    if value is None:
        raise call.error("has no input")
    sizes = (1, *value.shape) if isinstance(value, Symbol) else value.shape
    end = call.integer("end", len(sizes))
    return np.array(sizes[call.integer("start", 0) : end], dtype=np.int64)


def constant(call: Call) -> np.ndarray:
    """The attribute, whichever it is."""
    values = [np.asarray(value) for value in call.node.attributes.values()]
    if len(values) != 1 or values[0].dtype.kind not in "fib":
        raise call.error("has no number, or more than one attribute")
    (name,) = call.node.attributes
    if name == "value":
        return values[0]
    return values[0].astype(np.float32 if "float" in name else np.int64)


def constant_of_shape(call: Call) -> np.ndarray:
    """One number everywhere."""
    sizes = _numbers(call, 0)
    _require_room(call, sizes)
    fill = call.attribute("value", np.ndarray, np.zeros(1, dtype=np.float32))
    if fill.size != 1:
        raise call.error("has more than one value")
    return np.full(sizes, fill.reshape(())[()], dtype=fill.dtype)


def gather(call: Call) -> np.ndarray:
    """Entries along an axis."""
    data, indices = call.required(0), call.required(1)
    axis = call.integer("axis", 0)
    if indices.dtype.kind != "i":
        raise call.error("has indices that are no whole numbers")
    places = range(data.ndim)[axis]
    _require_room(call, (*data.shape[:places], *indices.shape, *data.shape[places + 1 :]))
    return np.asarray(np.take(data, indices, axis=axis))


def sliced(call: Call) -> np.ndarray:
    """From a start to an end, along axes."""
    data = call.required(0)
    starts = call.listed("starts", 1, 10) or ()
    ends = call.listed("ends", 2, 10) or ()
    axes = call.listed("axes", 3, 10)
    steps = call.listed("steps", 4, 10) if call.opset >= 10 else None
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    places: list[slice] = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        places[axis] = slice(start, end, step)
    return data[tuple(places)]


def concat(call: Call) -> np.ndarray:
    """Arrays side by side."""
    arrays = [call.required(place) for place in range(len(call.inputs))]
    if len({array.dtype for array in arrays}) > 1:
        raise call.error("joins constants of several types")
    return np.concatenate(arrays, axis=call.integer("axis", 0))


def unsqueeze(call: Call) -> np.ndarray:
    """With more axes."""
    return np.expand_dims(call.required(0), call.listed("axes", 1, 13) or ())


def squeeze(call: Call) -> np.ndarray:
    """Without axes of one entry."""
    return np.squeeze(call.required(0), call.listed("axes", 1, 13))


def reshape(call: Call) -> np.ndarray:
    """Another shape of the same entries."""
    data, sizes = call.required(0), _numbers(call, 1)
    if not call.integer("allowzero", 0):
        sizes = tuple(size or data.shape[i] for i, size in enumerate(sizes))
    return data.reshape(sizes)


def transpose(call: Call) -> np.ndarray:
    """The axes in another order."""
    return np.transpose(call.required(0), call.integers("perm"))


def cast(call: Call) -> np.ndarray:
    """In another type."""
    kind = DTYPES.get(call.integer("to", 0))
    if kind is None:
        raise call.error("casts to a type that is not supported")
    return call.required(0).astype(kind)


def identity(call: Call) -> np.ndarray:
    """The constant itself."""
    return call.required(0)


def negative(call: Call) -> np.ndarray:
    """-c."""
    return np.asarray(np.negative(call.required(0)))


def _of_two(function: Callable[..., np.ndarray]) -> Callable[[Call], np.ndarray]:
    def folded(call: Call) -> np.ndarray:
        a, b = call.required(0), call.required(1)
        if a.dtype != b.dtype or a.dtype.kind not in "fi":
            raise call.error("takes constants that are no numbers of one type")
        _require_room(call, np.broadcast_shapes(a.shape, b.shape))
        return np.asarray(function(a, b))

    return folded


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of whole numbers, rounded towards 0."""
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    quotient = np.abs(a) // np.abs(b)
    return np.asarray(quotient * np.sign(a) * np.sign(b))


def _numbers(call: Call, place: int) -> tuple[int, ...]:
    array = call.required(place)
    if array.dtype.kind != "i" or array.ndim > 1 or array.size > MOST_AXES:
        raise call.error(f"needs a shape as its input {place + 1}")
    return tuple(int(size) for size in array.ravel())


def _require_room(call: Call, sizes: tuple[int, ...]) -> None:
    call.builder.stored.add(sizes)


FOLDED: Mapping[str, tuple[Callable[[Call], np.ndarray], str]] = {
    "Add": (_of_two(np.add), ""),
    "Cast": (cast, "saturate to"),
    "Concat": (concat, "axis"),
    "Constant": (constant, "value value_float value_floats value_int value_ints"),
    "ConstantOfShape": (constant_of_shape, "value"),
    "Div": (_of_two(_quotient), ""),
    "Gather": (gather, "axis"),
    "Identity": (identity, ""),
    "Mul": (_of_two(np.multiply), ""),
    "Neg": (negative, ""),
    "Reshape": (reshape, "allowzero"),
    "Shape": (shape, "end start"),
    "Slice": (sliced, "axes ends starts"),
    "Squeeze": (squeeze, "axes"),
    "Sub": (_of_two(np.subtract), ""),
    "Transpose": (transpose, "perm"),
    "Unsqueeze": (unsqueeze, "axes"),
}
"""by ONNX's name, with the attributes that each has"""
