"""From the bytes of an ONNX file to its graph: names, shapes, constants, operations, all checked.

Nothing of the file is executed, and no other file is opened.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from relu.errors import InputError
from relu.network.layers import Shape
from relu.network.onnx.limits import MOST_NODES, MOST_WEIGHTS, Total, shown

OLDEST = 9  # opset
LFS = b"version https://git-lfs"
DTYPES: Mapping[int, str] = {
    1: "float32",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
}
"""numpy's names of the types that are read, by TensorProto.DataType"""

STORED: Mapping[str, str] = {
    "float32": "float_data",
    "float16": "int32_data",
    "float64": "double_data",
    "int32": "int32_data",
    "int64": "int64_data",
    "bool": "int32_data",
}
"""where a TensorProto without raw bytes has its entries"""


@dataclass(frozen=True, eq=False)
class Node:
    """An operation of the file. label: what it is called in messages."""

    operation: str
    label: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Graph:
    """The network of a file. shape: of one input; dtype: of the inputs, as numpy names it."""

    opset: int
    input: str
    shape: Shape
    dtype: str
    output: str
    constants: Mapping[str, np.ndarray]
    nodes: Sequence[Node]


def library(name: str) -> Any:
    """An optional library; InputError with the extra where it is not there."""
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"ONNX files need the library {name}: pip install 'relu-bench[onnx]'"
        ) from error


def parsed(content: bytes) -> Graph:
    """The graph of a file. Raises InputError for whatever is no network of one input and output."""
    if content.startswith(LFS):
        raise InputError("the file is a Git LFS pointer, not the network: run `git lfs pull`")
    onnx = library("onnx")
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:  # of protobuf, whose classes differ between its versions
        raise InputError("the file is no ONNX network, or is cut off") from error
    opset = _opset(model, onnx.defs.onnx_opset_version())
    if len(model.functions):
        raise InputError("the file defines functions of its own, which are not supported")
    return _graph(model.graph, opset)


def _opset(model: Any, newest: int) -> int:
    if not model.ir_version or not len(model.graph.node):
        raise InputError("the file is no ONNX network: it has no version, or no operations")
    versions = [entry.version for entry in model.opset_import if _is_standard(entry.domain)]
    if len(versions) != 1 or not OLDEST <= versions[0] <= newest:
        raise InputError(
            f"the file is of opset {', '.join(map(str, versions)) or 'none'}, "
            f"expected one from {OLDEST} to {newest}"
        )
    return int(versions[0])


def _is_standard(domain: Any) -> bool:
    return domain in ("", "ai.onnx")


def _graph(graph: Any, opset: int) -> Graph:
    if len(graph.sparse_initializer):
        raise InputError("the file has sparse weights, which are not supported")
    if len(graph.node) > MOST_NODES:
        raise InputError(f"the network has {len(graph.node)} operations, more than {MOST_NODES:,}")
    total = Total("weights", MOST_WEIGHTS)
    for proto in graph.initializer:
        require_tensor(proto, total)
    constants = {_name(proto.name): array_of(proto) for proto in graph.initializer}
    if len(constants) < len(graph.initializer):
        raise InputError("the file has two weights of one name")
    inputs = [entry for entry in graph.input if entry.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InputError(
            f"a network must have one input and one output, "
            f"got {len(inputs)} and {len(graph.output)}"
        )
    dtype, shape = _input(inputs[0])
    return Graph(
        opset=opset,
        input=_name(inputs[0].name),
        shape=shape,
        dtype=dtype,
        output=_name(graph.output[0].name),
        constants=constants,
        nodes=[_node(node, total) for node in graph.node],
    )


def _name(name: Any) -> str:
    if not isinstance(name, str):  # bytes, where they are no UTF-8
        raise InputError("the file has a name that is no text")
    return name


def _input(entry: Any) -> tuple[str, Shape]:
    """Type and shape of one input."""
    label = f"input {shown(entry.name)}"
    tensor = entry.type.tensor_type
    dtype = DTYPES.get(tensor.elem_type, "")
    if not entry.type.HasField("tensor_type") or not dtype.startswith("float"):
        raise InputError(f"{label} must be of type float32, float16 or float64")
    batch, *sizes = [dim.dim_value for dim in tensor.shape.dim] or [0]
    if not sizes or min(sizes) < 1 or batch not in (0, 1):
        raise InputError(
            f"{label} has shape {[batch, *sizes][:8]}, "
            "expected the number of inputs (1, or not said) and then sizes of at least 1"
        )
    return dtype, tuple(int(size) for size in sizes)


def _node(node: Any, total: Total) -> Node:
    operation = _name(node.op_type)
    outputs = [_name(name) for name in node.output]
    label = f"node {shown(_name(node.name) or next(iter(outputs), ''))} ({shown(operation)[1:-1]})"
    if not _is_standard(node.domain):
        raise InputError(f"{label} is of the domain {shown(node.domain)}, which is not supported")
    if not outputs or not outputs[0]:
        raise InputError(f"{label} has no output")
    attributes = {_name(entry.name): _attribute(entry, total) for entry in node.attribute}
    if len(attributes) < len(node.attribute):
        raise InputError(f"{label} has two attributes of one name")
    return Node(
        operation=operation,
        label=label,
        inputs=[_name(name) for name in node.input],
        outputs=outputs,
        attributes=attributes,
    )


def _attribute(attribute: Any, total: Total) -> Any:
    """A number, a text, a tensor, or a tuple of numbers; None: something else."""
    proto = type(attribute)
    if attribute.type == proto.TENSOR:
        require_tensor(attribute.t, total)
        return array_of(attribute.t)
    plain = {
        proto.FLOAT: lambda: float(attribute.f),
        proto.INT: lambda: int(attribute.i),
        proto.STRING: lambda: attribute.s.decode("utf-8", "replace"),
        proto.FLOATS: lambda: tuple(map(float, attribute.floats)),
        proto.INTS: lambda: tuple(map(int, attribute.ints)),
    }
    if attribute.type not in plain or attribute.ref_attr_name:
        return None
    return plain[attribute.type]()


def require_tensor(proto: Any, total: Total) -> None:
    """Raises InputError for a tensor that is too large, elsewhere, incomplete, or of no known type.

    Nothing is allocated.
    """
    label = f"tensor {shown(proto.name)}"
    if proto.data_location or len(proto.external_data):
        raise InputError(f"{label} lies in another file, which is never opened")
    if proto.data_type not in DTYPES or proto.HasField("segment"):
        raise InputError(
            f"{label} has type {proto.data_type}, or is a part of one; "
            f"expected one of {', '.join(DTYPES.values())}"
        )
    total.add(proto.dims)
    dtype = DTYPES[proto.data_type]
    stored: Iterable[Any] = getattr(proto, STORED[dtype])
    count = len(proto.raw_data) / np.dtype(dtype).itemsize or len(list(stored))
    if count != math.prod(proto.dims):
        raise InputError(f"{label} has {count:g} entries, expected {math.prod(proto.dims)}")


def array_of(proto: Any) -> np.ndarray:
    """The entries of a tensor that `require_tensor` lets pass."""
    dtype = DTYPES[proto.data_type]
    if proto.raw_data:
        array = np.frombuffer(proto.raw_data, np.dtype(dtype).newbyteorder("<")).astype(dtype)
    elif dtype == "float16":
        bits = np.array(list(proto.int32_data), dtype=np.int64) & 0xFFFF
        array = bits.astype(np.uint16).view(np.float16)
    else:
        array = np.array(list(getattr(proto, STORED[dtype])), dtype=dtype)
    return array.reshape(tuple(proto.dims))
