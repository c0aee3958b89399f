"""From the graph of a torch module, as torch.fx traces it, to a chain of layers."""

import operator
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from relu.errors import InputError
from relu.network.activation import activated
from relu.network.builder import LayerBuilder, Value
from relu.network.layers import Layer, Shape, to_vectors
from relu.network.operations import OPERATIONS, Call, name_of

POINTS = 8  # random inputs at which what is read is compared with the module
# By how much they may differ, relative to the sum of all absolute terms: about half of the digits.
AGREEING = 8.0  # square roots of the precision

_AGREEING: weakref.WeakKeyDictionary[nn.Module, set[Shape]] = weakref.WeakKeyDictionary()
_GRAPHS: weakref.WeakKeyDictionary[nn.Module, fx.Graph] = weakref.WeakKeyDictionary()


def traced_layers(net: nn.Module, shape: Shape) -> tuple[Layer, ...]:
    """The layers of a network whose inputs have `shape`; they share its parameters.

    Affine operations that follow one another are joined: what is read is the network, up to the
    rounding of that. Raises InputError with the first operation that is not known, or where the
    layers give other logits than the module, whose code may do what no symbol shows.
    """
    layers = _read(net, shape)
    if shape not in _AGREEING.setdefault(net, set()):
        _require_agreement(net, layers, shape)
        _AGREEING[net].add(shape)
    return layers


def _read(net: nn.Module, shape: Shape) -> tuple[Layer, ...]:
    if (reason := unsupported(net)) is not None:
        raise InputError(reason)
    graph = graph_of(net)
    like = next(net.parameters(), torch.zeros(()))
    builder = LayerBuilder(shape, like)
    values: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        values[node] = _value(node, values, net, builder)
        if _in_place(node, net):  # who takes the input from here on takes what became of it
            values[node.args[0]] = values[node]
        if node.op == "output":
            return _finished(builder, values[node])
    raise InputError("a network must return its logits")


@torch.no_grad()
def _require_agreement(net: nn.Module, layers: tuple[Layer, ...], shape: Shape) -> None:
    """Raises InputError where the layers are not the module, at a few random inputs."""
    like = layers[0].like
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(POINTS, *shape, generator=draw, dtype=torch.float64).to(like)
    vectors = to_vectors(layers, x)
    size = vectors.abs()
    for layer in layers[:-1]:
        vectors = activated(layer, layer.forward(vectors))
        size = layer.absolute().forward(size)
    ours = layers[-1].forward(vectors)
    size = layers[-1].absolute().forward(size)
    theirs = net(x.clone())
    if not bool(theirs.isfinite().all()):  # nothing can be compared, and nothing is proven of it
        return
    little = AGREEING * torch.finfo(like.dtype).eps ** 0.5 * size
    if ours.shape != theirs.shape or bool(((ours - theirs).abs() > little).any()):
        raise InputError("the network computes something else than the operations that it traces")


def _in_place(node: fx.Node, net: nn.Module) -> bool:
    """Whether the operation writes over its first input."""
    if node.op == "call_module":
        return bool(getattr(net.get_submodule(str(node.target)), "inplace", False))
    if node.op == "call_method":
        return str(node.target).endswith("_")
    return node.target in (operator.iadd, operator.isub, operator.imul) or bool(
        node.kwargs.get("inplace", False)
    )


def unsupported(net: nn.Module) -> str | None:
    """Which operation is not known, whatever the inputs, or None."""
    try:
        for node in graph_of(net).nodes:
            if node.op.startswith("call"):
                _operation(node, net)
    except InputError as error:
        return str(error)
    return None


def graph_of(net: nn.Module) -> fx.Graph:
    """The operations of a module, in order; traced once. Raises InputError where they vary."""
    if net not in _GRAPHS:
        try:
            _GRAPHS[net] = fx.Tracer().trace(net)
        except Exception as error:  # whatever the module's own code raises on a symbol
            reason = str(error).partition("\n")[0]
            raise InputError(f"the network cannot be traced: {reason}") from error
    return _GRAPHS[net]


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
    if not any(isinstance(arg, Value) for arg in _flat(args)):
        return _constant(name, node, args, kwargs)
    call = Call(
        name=name,
        module=module,
        args=tuple(args),
        kwargs=dict(kwargs),
        builder=builder,
        only_for_maximum=_only_for_maximum(node, net),
    )
    return operation(call)


def _flat(args: Any) -> list[Any]:
    if isinstance(args, tuple | list):
        return [leaf for arg in args for leaf in _flat(arg)]
    return [args]


def _constant(name: str, node: fx.Node, args: Any, kwargs: Any) -> Any:
    """What constants give: numbers and tensors of the network, and sizes."""
    if node.op == "call_function" and callable(node.target):
        return node.target(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    raise InputError(f"{name} takes no input of the network")


def _operation(
    node: fx.Node, net: nn.Module
) -> tuple[str, Callable[[Call], Value], nn.Module | None]:
    """What a node is called in messages, what it does, and its module."""
    if node.op == "call_module":
        module = net.get_submodule(str(node.target))
        name = f"layer {node.target} ({type(module).__name__})"
        key: Any = type(module)  # a subclass may compute anything
    else:
        module = None
        key = _same(node.target)
        name = f"operation {node.name} ({name_of(key)})"
    if key not in OPERATIONS:
        raise InputError(f"{name} is not supported")
    return name, OPERATIONS[key], module


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


def _finished(builder: LayerBuilder, logits: Any) -> tuple[Layer, ...]:
    if not isinstance(logits, Value) or len(logits.shape) != 1 or logits.size < 2:
        raise InputError("a network must return a vector of logits, for two classes or more")
    return builder.finished(logits)


SAME: Mapping[Any, Any] = {
    operator.add: torch.add,
    operator.iadd: torch.add,
    "add": torch.add,
    "add_": torch.add,
    operator.sub: torch.sub,
    operator.isub: torch.sub,
    "sub": torch.sub,
    operator.mul: torch.mul,
    operator.imul: torch.mul,
    "mul": torch.mul,
    operator.truediv: torch.div,
    "div": torch.div,
    operator.neg: torch.neg,
    "neg": torch.neg,
    torch.concat: torch.cat,
    torch.flatten: nn.Flatten,
    "flatten": nn.Flatten,
    "view": torch.reshape,
    "reshape": torch.reshape,
    torch.relu: nn.ReLU,
    F.relu: nn.ReLU,
    F.linear: nn.Linear,
    F.conv2d: nn.Conv2d,
    "relu": nn.ReLU,
    "relu_": nn.ReLU,
    F.leaky_relu: nn.LeakyReLU,
    F.relu6: nn.ReLU6,
    F.max_pool2d: nn.MaxPool2d,
    torch.max_pool2d: nn.MaxPool2d,
    F.avg_pool2d: nn.AvgPool2d,
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    "contiguous": nn.Identity,
    F.dropout: nn.Dropout,
    "size": "size",
}
