"""What a file's own runtime makes of it, beside what is read of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from relu.errors import InputError
from relu.network.activation import activated
from relu.network.layers import Layer, to_vectors
from relu.network.onnx.network import OnnxNetwork
from relu.network.onnx.parsing import Graph, library
from relu.network.reader import in_float64, read_layers

POINTS = 4  # random inputs of each scale
SCALES = (0.01, 1.0, 100.0)
ROOM = 16  # what is allowed, in estimates of what rounding does; 2 are seen
SAME = 1e-5  # of the largest logit: how far a file that is written may be from its network
PRECISIONS: Mapping[str, tuple[float, float, float]] = {
    "float32": (2.0**-24, 2.0**-149, 1e37),
    "float64": (2.0**-24, 2.0**-149, 1e37),
    "float16": (2.0**-11, 2.0**-24, 3e4),
}
"""rounding of one operation, least number, and size of sums from which they may overflow"""


@torch.no_grad()
def require_agreement(net: OnnxNetwork, content: bytes, graph: Graph) -> None:
    """Raises InputError where the file's runtime gives other logits than the network or its layers.

    At random inputs of several scales, one by one; other means by more than rounding to the type
    of the file's inputs explains.
    """
    run = _runtime(content, graph.output)
    layers = read_layers(in_float64(net), net.shape, fewest=1)
    draw = torch.Generator().manual_seed(0)
    compared = False
    for scale in SCALES:
        x = scale * torch.randn(POINTS, *net.shape, generator=draw)
        feed = x.numpy().astype(graph.dtype)
        theirs = _outputs(run, {graph.input: feed}, net.classes)
        x = torch.from_numpy(feed).double()
        logits, error, size = _estimates(layers, to_vectors(layers, x), graph.dtype)
        for ours in (logits, net(x.float()).double()):
            apart = ~((ours - theirs).abs() <= ROOM * error)
            overflowing = size >= PRECISIONS[graph.dtype][2]
            if bool((apart & ~overflowing).any()):
                raise InputError("the network gives other outputs than the file does elsewhere")
            compared = compared or bool((~overflowing).all())
    if not compared:
        raise InputError("the network overflows at all inputs, so that it cannot be compared")


@torch.no_grad()
def require_same(net: nn.Module, read: OnnxNetwork, content: bytes, images: Tensor) -> None:
    """Raises InputError where a file that was written of a network gives other logits than it.

    read: the file as it is read back. At the images and at random ones in [0, 1], all at once: what
    is read may be off by SAME of the input's largest logit in float64; in float32 it and the file's
    runtime may be off by that, or by what rounding explains.
    """
    draw = torch.Generator().manual_seed(1)
    x = torch.cat([images, torch.rand(POINTS, *read.shape, generator=draw)])
    (name,), (output,) = read.inputs, read.outputs
    try:
        theirs = torch.from_numpy(np.array(_runtime(content, output)({name: x.numpy()})))
    except Exception as error:  # of the runtime, whose errors have no common class
        raise InputError(f"the file that is written cannot be run: {_line(error)}") from error
    exact = in_float64(net)(x.double())
    room = SAME * exact.abs().amax(1, keepdim=True)
    _require_within(in_float64(read)(x.double()), exact, room)
    layers = read_layers(in_float64(read), read.shape, fewest=1)
    _, rounding, _ = _estimates(layers, to_vectors(layers, x.double()), "float32")
    for logits in (theirs, read(x)):
        _require_within(logits.double(), net(x).double(), room.maximum(ROOM * rounding))


def _require_within(logits: Tensor, same: Tensor, room: Tensor) -> None:
    if logits.shape != same.shape or not bool(((logits - same).abs() <= room).all()):
        raise InputError("the file that is written gives other outputs than the network")


def _outputs(
    run: Callable[[Mapping[str, np.ndarray]], Any], feeds: Mapping[str, np.ndarray], classes: int
) -> Tensor:
    """What a runtime gives for each input."""
    ((name, inputs),) = feeds.items()
    try:
        rows = [np.asarray(run({name: inputs[i : i + 1]})) for i in range(len(inputs))]
    except Exception as error:  # of the runtime, whose errors have no common class
        raise InputError(f"the file cannot be run: {_line(error)}") from error
    if any(row.size != classes for row in rows):
        raise InputError("the network gives another number of outputs than the file does elsewhere")
    return torch.from_numpy(np.stack(rows).reshape(len(rows), -1).astype(np.float64))


def _runtime(content: bytes, output: str) -> Callable[[Mapping[str, np.ndarray]], Any]:
    """Of onnxruntime, or where that is missing, of onnx itself."""
    try:
        ort = library("onnxruntime")
    except InputError:
        return _reference(content, output)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of the runtime, whose errors have no common class
        raise InputError(f"the file cannot be run: {_line(error)}") from error
    return lambda feeds: session.run([output], dict(feeds))[0]


def _reference(content: bytes, output: str) -> Callable[[Mapping[str, np.ndarray]], Any]:
    onnx = library("onnx")
    reference = library("onnx.reference")
    evaluator = reference.ReferenceEvaluator(onnx.ModelProto.FromString(content))
    return lambda feeds: evaluator.run([output], dict(feeds))[0]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _estimates(layers: Sequence[Layer], vectors: Tensor, dtype: str) -> tuple[Tensor, ...]:
    """Logits, an estimate of what rounding does to each, and the largest sum on the way.

    Each sum is rounded by about its absolute terms' unit; errors of one layer spread to the next as
    independent ones do, by the squares of its weights.
    """
    unit, least, _ = PRECISIONS[dtype]
    error = torch.zeros_like(vectors)
    largest = torch.zeros_like(vectors[:, :1])
    for i, layer in enumerate(layers):
        inputs = activated(layers[i - 1], vectors) if i else vectors
        size = layer.absolute().forward(inputs.abs())
        spread = layer.mapped(torch.square, torch.zeros_like).linear(error.square()).sqrt()
        error = spread + unit * size + layer.terms * least
        largest = largest.maximum(size.amax(1, keepdim=True))
        vectors = layer.forward(inputs)
    return vectors, error, largest
