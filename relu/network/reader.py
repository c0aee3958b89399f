"""From torch's modules to the normal form."""

import copy
import math

import torch
from torch import nn

from relu.errors import InputError
from relu.network.layers import Conv, Dense, Layer, Shape
from relu.network.tracing import traced_layers, unsupported


def read_layers(net: nn.Module, shape: Shape, *, fewest: int = 2) -> tuple[Layer, ...]:
    """The affine layers of a network whose inputs have `shape`; they share its parameters.

    A Sequential of Flatten, Linear, plain Conv2d and ReLU, with one ReLU after each affine layer
    but the last, which is Linear, is read as it stands; any other network by its graph
    (relu/network/tracing.py). fewest: logits that it has to have. Raises InputError with the name
    of the first layer that does not fit.
    """
    _require_no_detours(net)
    try:
        chain = _affine(net, fewest)
    except InputError:
        return traced_layers(net, shape, fewest=fewest)
    layers: list[Layer] = []
    for what, module in chain:
        layers.append(_layer(what, module, shape, layers[-1] if layers else None))
        shape = layers[-1].out_shape if isinstance(layers[-1], Conv) else (layers[-1].size,)
    return tuple(layers)


def refusal(net: nn.Module) -> str | None:
    """Why `read_layers` refuses the network whatever its inputs, or None."""
    try:
        _require_no_detours(net)
    except InputError as error:
        return str(error)
    try:
        _affine(net, 2)
    except InputError:
        return unsupported(net)
    return None


def _require_no_detours(net: nn.Module) -> None:
    """Refuses modules that compute something else than their class does, like weight_norm's."""
    for name, module in net.named_modules():
        hooked = module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
        if hooked:
            what = f"layer {name or '0'} ({type(module).__name__})"
            raise InputError(f"{what} has hooks, or a forward of its own, which are not read")


def _affine(net: nn.Module, fewest: int) -> list[tuple[str, nn.Linear | nn.Conv2d]]:
    """The Linear and Conv2d layers, checked, with what to call each in a message."""
    modules: list[tuple[str, nn.Linear | nn.Conv2d]] = []
    rectified = True
    for name, module in _leaves(net):
        what = f"layer {name} ({type(module).__name__})"
        kind = type(module)  # a subclass may compute anything
        if kind is nn.ReLU:
            if rectified:
                raise InputError(f"{what} must follow a Linear or Conv2d layer")
            rectified = True
        elif kind in (nn.Linear, nn.Conv2d) and isinstance(module, nn.Linear | nn.Conv2d):
            if not rectified:
                raise InputError(f"{what} must follow a ReLU")
            if isinstance(module, nn.Conv2d):
                _require_plain(what, module)
            modules.append((what, module))
            rectified = False
        elif kind not in (nn.Flatten, nn.Identity):
            raise InputError(f"{what} is no ReLU, Linear, Conv2d or Flatten")
    if (
        rectified
        or not isinstance(modules[-1][1], nn.Linear)
        or modules[-1][1].out_features < fewest
    ):
        raise InputError("the last layer must be Linear, with two classes or more")
    return modules


def _leaves(net: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    if type(net) is not nn.Sequential:
        return [(prefix or "0", net)]
    leaves = []
    for i, child in enumerate(net):  # named_children() leaves out a module's second use
        leaves += _leaves(child, f"{prefix}.{i}" if prefix else str(i))
    return leaves


def _require_plain(what: str, module: nn.Conv2d) -> None:
    for name in ("kernel_size", "stride", "padding"):
        value = getattr(module, name)
        if isinstance(value, str) or len(set(value)) > 1:
            raise InputError(f"{what}: its {name} must be one number, got {value}")
    plain = {"dilation": (1, 1), "groups": 1, "padding_mode": "zeros"}
    for name, expected in plain.items():
        if getattr(module, name) != expected:
            raise InputError(f"{what}: its {name} must be {expected}, got {getattr(module, name)}")


def _layer(what: str, module: nn.Linear | nn.Conv2d, shape: Shape, below: Layer | None) -> Layer:
    weight = module.weight
    bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias
    if isinstance(module, nn.Linear):
        if math.prod(shape) != module.in_features:
            raise InputError(f"{what} takes {module.in_features} numbers, got shape {shape}")
        if isinstance(below, Conv):
            weight = weight.unflatten(1, below.out_shape).permute(0, 2, 3, 1).flatten(1)
        return Dense(weight, bias)
    if len(shape) != 3:
        raise InputError(f"{what} needs images of channels x height x width, got shape {shape}")
    channels, height, width = shape
    if channels != module.in_channels:
        raise InputError(f"{what} takes {module.in_channels} channels, got shape {shape}")
    return Conv(weight, bias, module.stride[0], int(module.padding[0]), (channels, height, width))


@torch.no_grad()
def in_float64(net: nn.Module) -> nn.Module:
    """A copy of the network that computes in float64, its parameters without gradients."""
    return copy.deepcopy(net).double().requires_grad_(False).eval()
