"""From the graph of an ONNX file to a torch module."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from relu.errors import InputError
from relu.network.onnx.call import Call
from relu.network.onnx.comparison import require_agreement
from relu.network.onnx.folding import FOLDED
from relu.network.onnx.limits import shown
from relu.network.onnx.network import NetworkBuilder, OnnxNetwork, Symbol
from relu.network.onnx.operations import RULES
from relu.network.onnx.operations.reshaping import reshaped
from relu.network.onnx.parsing import Graph, Node, parsed

Known = Symbol | np.ndarray
"""a value of the network, or a constant"""

UNUSED = ("Dropout", "MaxPool")  # whose further outputs may be named, and left alone


def read_onnx(content: bytes, *, fewest: int = 2) -> OnnxNetwork:
    """The network of an ONNX file, in evaluation mode, for any number of inputs.

    It is the function of one input of the file, applied to each input; its outputs are compared
    with a runtime's at random inputs. fewest: numbers that it has to give. Raises InputError, one
    line, for whatever is not supported: with the name of its node.
    """
    graph = parsed(content)
    try:
        net = _network(graph, fewest)
        require_agreement(net, content, graph)
    except MemoryError as error:
        raise InputError("the network does not fit into memory") from error
    return net


def _network(graph: Graph, fewest: int) -> OnnxNetwork:
    builder = NetworkBuilder()
    source = Symbol("input", graph.shape)
    builder.entries.add(graph.shape)
    known: dict[str, Known] = {**graph.constants, graph.input: source}
    for i, node in enumerate(graph.nodes):
        _require_new(node, known)
        known[node.outputs[0]] = _result(node, _call(node, i, graph, known, builder))
    logits = known.get(graph.output)
    if not isinstance(logits, Symbol):
        raise InputError(f"the output {shown(graph.output)} does not depend on the input")
    classes = max(logits.shape, default=1)
    if np.prod(logits.shape) != classes or classes < fewest:
        wanted = "for two classes or more" if fewest > 1 else "in a line"
        raise InputError(
            f"the output {shown(graph.output)} has shape {('n', *logits.shape)}, "
            f"expected numbers {wanted}"
        )
    last = _call(graph.nodes[-1], len(graph.nodes), graph, known, builder)
    logits = reshaped(last, logits, (classes,))
    if not (builder.parameters or builder.buffers or builder.modules):
        raise InputError("the network has no weights")
    names = graph.input, graph.output
    return OnnxNetwork(builder, source, logits, names, graph.dtype).eval()


def _require_new(node: Node, known: Mapping[str, Known]) -> None:
    if any(node.outputs[1:]) and node.operation not in UNUSED:
        raise InputError(f"{node.label} has more than one output, which is not supported")
    if node.outputs[0] in known:
        raise InputError(f"{node.label} gives {shown(node.outputs[0])}, which is there already")


def _call(
    node: Node, number: int, graph: Graph, known: Mapping[str, Known], builder: NetworkBuilder
) -> Call:
    for name in node.inputs:
        if name and name not in known:
            raise InputError(
                f"{node.label} takes {shown(name)}, which no operation before it gives"
            )
    return Call(
        node=node,
        inputs=[known[name] if name else None for name in node.inputs],
        opset=graph.opset,
        prefix=f"{node.operation.lower()}_{number}",
        builder=builder,
    )


def _result(node: Node, call: Call) -> Known:
    """What an operation gives: folded where it depends on constants alone, or on shapes."""
    symbolic = any(isinstance(value, Symbol) for value in call.inputs)
    if node.operation == "Shape" or (not symbolic and node.operation in FOLDED):
        function: Callable[[Call], Any]
        function, attributes = FOLDED[node.operation]
    elif symbolic and node.operation in RULES:
        rule = RULES[node.operation]
        function, attributes = rule.function, rule.attributes
        if not rule.least <= len(call.inputs) <= rule.most:
            raise call.error(f"has {len(call.inputs)} inputs")
    elif node.operation in RULES or node.operation in FOLDED:
        kind = "a value of the network" if symbolic else "constants alone"
        raise call.error(f"of {kind} is not supported")
    else:
        raise call.error("is not supported")
    if unknown := node.attributes.keys() - set(attributes.split()):
        raise call.error(f"has the attribute {shown(min(unknown))}, which is not supported")
    for name, value in node.attributes.items():
        if value is None:
            raise call.error(f"has the attribute {name}, of a kind that is not supported")
    return _applied(function, call)


def _applied(function: Callable[[Call], Any], call: Call) -> Known:
    try:
        with np.errstate(all="ignore"):
            result: Known = function(call)
    except InputError as error:
        message = str(error)
        named = message.startswith(call.node.label)
        raise error if named else call.error(message) from error
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise call.error(f"is used in a way that is not supported: {reason}") from error
    return result
