"""From the graph of a torch module, as torch.fx traces it, to a chain of layers."""

import copy
import operator
import weakref
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from relu.errors import InputError
from relu.network.activation import activated
from relu.network.builder import LayerBuilder
from relu.network.layers import Layer, Shape, to_vectors
from relu.network.operations import ALIASES, KEYWORDS, OPERATIONS, SAME
from relu.network.operations.call import Call
from relu.network.operations.reshaping import is_sizes
from relu.network.value import Value

POINTS = 8  # random inputs at which what is read is compared with the module
SCALES = (0.01, 1.0, 100.0)  # of these inputs
AGREEING = 1e-9  # of the largest sum of absolute terms in any layer there, in float64

# where functions take `inplace`, among their arguments
INPLACE: Mapping[Any, int] = {F.relu: 1, F.relu6: 1, F.leaky_relu: 2, F.dropout: 3}

_AGREED: weakref.WeakKeyDictionary[nn.Module, set[tuple[object, ...]]]
_AGREED = weakref.WeakKeyDictionary()


def traced_layers(net: nn.Module, shape: Shape, *, fewest: int = 2) -> tuple[Layer, ...]:
    """The layers of a network whose inputs have `shape`; they share its parameters.

    Affine operations that follow one another are joined: what is read is the network, up to the
    rounding of that. fewest: logits that it has to have. Raises InputError with the first operation
    that is not known, or where the layers give other logits than the module, whose code may do what
    no symbol shows.
    """
    graph = graph_of(net)
    if (reason := _unsupported(graph, net)) is not None:
        raise InputError(reason)
    layers = _read(graph, net, shape, fewest)
    key = (shape, layers[0].like.dtype, net.training, str(graph))
    if key not in _AGREED.setdefault(net, set()):
        _require_agreement(net, shape, fewest)
        _AGREED[net].add(key)
    return layers


def _read(graph: fx.Graph, net: nn.Module, shape: Shape, fewest: int) -> tuple[Layer, ...]:
    floating = (buffer for buffer in net.buffers() if buffer.is_floating_point())
    like = next(chain(net.parameters(), floating), torch.zeros(()))
    builder = LayerBuilder(shape, like)
    values: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        values[node] = _value(node, values, net, builder)
        if node.op == "output":
            return _finished(builder, values[node], fewest)
    raise InputError("a network must return its logits")


@torch.no_grad()
def _require_agreement(net: nn.Module, shape: Shape, fewest: int) -> None:
    """Raises InputError where the layers are not the module, at a few random inputs, in float64."""
    exact = copy.deepcopy(net).double()
    layers = _read(graph_of(exact), exact, shape, fewest)
    draw = torch.Generator().manual_seed(0)
    for scale in SCALES:
        x = scale * torch.randn(POINTS, *shape, generator=draw, dtype=torch.float64)
        x = x.to(layers[0].like)
        vectors = to_vectors(layers, x)
        size = torch.zeros_like(vectors[:, :1])
        for i, layer in enumerate(layers):
            inputs = activated(layers[i - 1], vectors) if i else vectors
            size = size.maximum(layer.absolute().forward(inputs.abs()).amax(1, keepdim=True))
            vectors = layer.forward(inputs)
        theirs = exact(x)
        if theirs.shape != vectors.shape:
            raise InputError(DIFFERENT)
        known = theirs.isfinite() & size.isfinite()
        if bool(((vectors - theirs).abs() > AGREEING * size)[known].any()):
            raise InputError(DIFFERENT)


DIFFERENT = "the network computes something else than the operations that it traces"


def unsupported(net: nn.Module) -> str | None:
    """Which operation is not known, whatever the inputs, or None."""
    try:
        return _unsupported(graph_of(net), net)
    except InputError as error:
        return str(error)


def _unsupported(graph: fx.Graph, net: nn.Module) -> str | None:
    try:
        for node in graph.nodes:
            if node.op.startswith("call"):
                name, _, _ = _operation(node, net)
                if _in_place(node, net) and not _owned(node.args[0], net):
                    return f"{name} writes over a value that has another name or use"
            if node.op == "get_attr" and str(node.target).startswith("_tensor_constant"):
                return "the network computes a constant where it is traced: make it a buffer"
    except InputError as error:
        return str(error)
    return None


def _in_place(node: fx.Node, net: nn.Module) -> bool:
    """Whether the operation writes over its first input."""
    if node.op == "call_module":
        return bool(getattr(net.get_submodule(str(node.target)), "inplace", False))
    if node.op == "call_method":
        return str(node.target).endswith("_")
    if node.target in (operator.iadd, operator.isub, operator.imul):
        return True
    place = INPLACE.get(node.target, len(node.args))
    return bool(node.args[place] if place < len(node.args) else node.kwargs.get("inplace", False))


def _owned(value: Any, net: nn.Module) -> bool:
    """Whether only one operation sees what a node gives, under no other name."""
    if not isinstance(value, fx.Node) or len(value.users) > 1 or not value.op.startswith("call"):
        return False
    _, operation, _ = _operation(value, net)
    return operation not in ALIASES


class _Tracer(fx.Tracer):
    """Does not look into modules that are operations, torch's or not."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in OPERATIONS or super().is_leaf_module(m, module_qualified_name)


def graph_of(net: nn.Module) -> fx.Graph:
    """The operations of a module, in order. Raises InputError where they vary."""
    try:
        return _Tracer().trace(net)
    except Exception as error:  # whatever the module's own code raises on a symbol
        reason = str(error).partition("\n")[0]
        raise InputError(f"the network cannot be traced: {reason}") from error


def _value(
    node: fx.Node, values: Mapping[fx.Node, Any], net: nn.Module, builder: LayerBuilder
) -> Any:
    if node.op == "placeholder":
        if any(isinstance(value, Value) for value in values.values()):
            raise InputError("a network must take one input")
        return builder.input
    if node.op == "get_attr":
        return _attribute(net, str(node.target))
    args = fx.map_arg(node.args, lambda n: values[n])
    if node.op == "output":
        return args[0]
    kwargs = fx.map_arg(node.kwargs, lambda n: values[n])
    name, operation, module = _operation(node, net)
    if not any(isinstance(arg, Value) or is_sizes(arg) for arg in (*args[:1], *_flat(args))):
        raise InputError(f"{name} takes no input of the network first")
    call = Call(
        name=name,
        module=module,
        args=tuple(args),
        kwargs=dict(kwargs),
        builder=builder,
        only_for_maximum=_only_for_maximum(node, net),
    )
    if unknown := call.kwargs.keys() - KEYWORDS:
        raise call.error(f"has {min(unknown)}, which is not supported")
    try:
        return operation(call)
    except InputError:
        raise
    except (TypeError, ValueError, IndexError, RuntimeError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise call.error(f"is used in a way that is not supported: {reason}") from error


def _flat(args: Any) -> list[Any]:
    if isinstance(args, tuple | list):
        return [leaf for arg in args for leaf in _flat(arg)]
    return [args]


def _operation(
    node: fx.Node, net: nn.Module
) -> tuple[str, Callable[[Call], Value], nn.Module | None]:
    """What a node is called in messages, what it does, and its module."""
    name, kind, module = operation_of(node, net)
    if kind not in OPERATIONS:
        raise InputError(f"{name} is not supported")
    return name, OPERATIONS[kind], module


def operation_of(node: fx.Node, net: nn.Module) -> tuple[str, Any, nn.Module | None]:
    """What a node is called in messages, its kind, as in OPERATIONS, and its module."""
    if node.op == "call_module":
        module = net.get_submodule(str(node.target))
        kind = type(module)  # a subclass may compute anything
        return f"layer {node.target} ({kind.__name__})", kind, module
    key = _same(node.target)
    return f"operation {node.name} ({getattr(key, '__name__', key)})", key, None


def _same(target: Any) -> Any:
    """The operation that a function stands for: x + y, torch.add and x.add_ are one."""
    return SAME.get(target, target)


def _only_for_maximum(node: fx.Node, net: nn.Module) -> bool:
    """Whether nothing but one max-pooling takes the node: it may as well come before the ReLU."""
    users = list(node.users)
    if len(users) != 1:
        return False
    user = users[0]
    if user.op == "call_module":
        return type(net.get_submodule(str(user.target))) is nn.MaxPool2d
    return _same(user.target) is nn.MaxPool2d


def _attribute(net: nn.Module, path: str) -> Tensor:
    value: Any = net
    for part in path.split("."):
        value = getattr(value, part)
    assert isinstance(value, Tensor)
    return value


def _finished(builder: LayerBuilder, logits: Any, fewest: int) -> tuple[Layer, ...]:
    if isinstance(logits, Value) and logits.order is not None:
        raise InputError("a network must end in a layer of logits, not in a flattened image")
    if not isinstance(logits, Value) or len(logits.shape) != 1 or logits.size < fewest:
        raise InputError("a network must return a vector of logits, for two classes or more")
    return builder.finished(logits)
