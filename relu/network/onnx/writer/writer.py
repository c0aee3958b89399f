"""From a torch module, as torch.fx traces it, to the bytes of an ONNX file."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from relu.errors import InputError
from relu.network.layers import Shape
from relu.network.onnx.comparison import require_same
from relu.network.onnx.network import Symbol
from relu.network.onnx.reader import read_onnx
from relu.network.onnx.writer.call import Call
from relu.network.onnx.writer.file import INPUT, FileBuilder
from relu.network.onnx.writer.rules import RULES
from relu.network.operations import KEYWORDS
from relu.network.tracing import graph_of, operation_of

INPUTS = 2  # of which shapes are taken
NAMES = KEYWORDS | {"pad", "dims", "dim0", "dim1", "tensors"}
PLAIN = (int, float, torch.Size, type(None))  # what operations give that are no values


@torch.no_grad()
def write_onnx(net: nn.Module, images: Tensor) -> bytes:
    """An ONNX file of the network in evaluation mode, weights in float32, for any number of inputs.

    images: (n, *shape), n >= 1. The file is read back, and its outputs are compared with the
    network's at the images and at random ones: by its runtime and as it is read, to a relative
    1e-5. Raises InputError for an operation that has no rule, or where an output differs.
    """
    net = copy.deepcopy(net).cpu().float().eval()
    content = _written(net, tuple(images.shape[1:]))
    require_same(net, read_onnx(content), content, images.cpu().float())
    return content


def _written(net: nn.Module, shape: Shape) -> bytes:
    graph = graph_of(net)
    results = _results(net, graph, shape)
    file = FileBuilder()
    values: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        values[node] = _value(node, values, results[node], net, file)
    logits = values[node]
    if not isinstance(logits, Symbol) or len(logits.shape) != 1 or logits.name == INPUT:
        raise InputError("a network must return a vector of logits")
    return file.content(shape, logits)


class _Recorder(fx.Interpreter):
    """Runs a network, and keeps what each operation gives."""

    def __init__(self, net: nn.Module, graph: fx.Graph) -> None:
        super().__init__(net, graph=graph)
        self.results: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        """What the operation gives."""
        self.results[n] = super().run_node(n)
        return self.results[n]


def _results(net: nn.Module, graph: fx.Graph, shape: Shape) -> Mapping[fx.Node, Any]:
    recorder = _Recorder(net, graph)
    try:
        recorder.run(torch.zeros(INPUTS, *shape))
    except Exception as error:  # whatever the module's own code raises
        reason = str(error).partition("\n")[0]
        raise InputError(f"the network cannot be run on inputs of {shape}: {reason}") from error
    return recorder.results


def _value(
    node: fx.Node, values: Mapping[fx.Node, Any], result: Any, net: nn.Module, file: FileBuilder
) -> Any:
    """The symbol of a value of the network; a constant as it is."""
    if node.op == "placeholder":
        return Symbol(INPUT, tuple(result.shape[1:]))
    if node.op == "output":
        return values.get(node.args[0]) if isinstance(node.args[0], fx.Node) else None
    if node.op == "get_attr" or isinstance(result, PLAIN):
        return result
    name, kind, module = operation_of(node, net)
    if kind not in RULES or not isinstance(result, Tensor):
        raise InputError(f"{name} cannot be written to an ONNX file")
    call = Call(
        name=name,
        module=module,
        args=tuple(fx.map_arg(node.args, values.__getitem__)),
        kwargs=dict(fx.map_arg(node.kwargs, values.__getitem__)),
        node=node.name,
        shape=tuple(result.shape[1:]),
        file=file,
    )
    if unknown := call.kwargs.keys() - NAMES:
        raise call.error(f"has {min(unknown)}, which is not supported")
    if len(result) != INPUTS:
        raise call.error("mixes inputs")
    return RULES[kind](call)
