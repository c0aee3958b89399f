"""What torch's operations are in the normal form: one function each, looked up in OPERATIONS."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from relu.errors import InputError
from relu.network.blocks import GeneralConv
from relu.network.builder import LayerBuilder, Value, pool_windows
from relu.network.layers import Conv, Dense


@dataclass(frozen=True, eq=False)
class Call:
    """An operation of a network. args: values, constants; module: whose call it is, if any's.

    only_for_maximum: whether nothing but a max-pooling takes what comes out.
    """

    name: str
    module: nn.Module | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    builder: LayerBuilder
    only_for_maximum: bool

    @property
    def value(self) -> Value:
        """What it is applied to."""
        value = self.args[0]
        if not isinstance(value, Value):
            raise self.error("takes a constant first")
        return value

    def setting(self, name: str, place: int, default: Any) -> Any:
        """Of the module, or of the function's arguments."""
        if self.module is not None:
            return getattr(self.module, name)
        return self.kwargs.get(name, self.args[place] if len(self.args) > place else default)

    def error(self, what: str) -> InputError:
        return InputError(f"{self.name} {what}")

    def image(self, value: Value) -> tuple[int, int, int]:
        """The shape of the value, which must be an image."""
        if len(value.shape) != 3:
            raise self.error(
                f"needs images of channels x height x width, got shape {tuple(value.shape)}"
            )
        return value.shape[0], value.shape[1], value.shape[2]


@dataclass(frozen=True, eq=False)
class Unrectified(Value):
    """A value whose ReLU comes after the pooling that alone takes it: max and ReLU commute."""

    leak: float = 0.0


def _linear(call: Call) -> Value:
    value = call.value
    weight = call.setting("weight", 1, None)
    given_bias = call.setting("bias", 2, None)
    if len(value.shape) != 1 or value.size != weight.shape[1]:
        raise call.error(f"takes {weight.shape[1]} numbers, got shape {tuple(value.shape)}")
    if value.order is not None:
        weight = torch.zeros_like(weight).index_copy(1, value.order.to(weight.device), weight)
    bias = weight.new_zeros(len(weight)) if given_bias is None else given_bias
    return call.builder.mapped(value, Dense(weight, bias), (len(weight),))


def _conv(call: Call) -> Value:
    shape = call.image(call.value)
    weight = call.setting("weight", 1, None)
    bias = call.setting("bias", 2, None)
    groups = call.setting("groups", 6, 1)
    if shape[0] != weight.shape[1] * groups:
        raise call.error(f"takes {weight.shape[1] * groups} channels, got shape {shape}")
    if isinstance(call.module, nn.Conv2d) and call.module.padding_mode != "zeros":
        raise call.error(f"pads with {call.module.padding_mode}, not with zeros")
    dilation = _pair(call.setting("dilation", 5, 1))
    convolution = convolution_of(
        weight,
        weight.new_zeros(len(weight)) if bias is None else bias,
        _pair(call.setting("stride", 3, 1)),
        _padding(call, dilation, weight),
        dilation,
        groups,
        shape,
    )
    return call.builder.mapped(call.value, convolution, convolution.out_shape)


def _padding(call: Call, dilation: tuple[int, int], weight: Tensor) -> tuple[int, int]:
    padding = call.setting("padding", 4, 0)
    if padding == "valid":
        return 0, 0
    if padding != "same":
        return _pair(padding)
    reach = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    if any(r % 2 for r in reach):
        raise call.error("pads one side more than the other, which is not supported")
    return reach[0] // 2, reach[1] // 2


def convolution_of(
    weight: Tensor,
    bias: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    shape: tuple[int, int, int],
) -> Conv | GeneralConv:
    """A convolution; a plain one, which sees windows, wherever it can be."""
    square = all(len(set(pair)) == 1 for pair in (weight.shape[2:], stride, padding))
    if square and dilation == (1, 1) and groups == 1:
        return Conv(weight, bias, stride[0], padding[0], shape)
    return GeneralConv(weight, bias, stride, padding, dilation, groups, shape)


def _relu(call: Call) -> Value:
    return _activated(call, 0.0)


def _leaky(call: Call) -> Value:
    return _activated(call, float(call.setting("negative_slope", 1, 0.01)))


def _activated(call: Call, leak: float) -> Value:
    if not 0 <= leak <= 1:
        raise call.error(f"has slope {leak:g}, expected one from 0 to 1")
    value = call.value
    if call.only_for_maximum and len(value.shape) == 3:
        return Unrectified(**vars(value), leak=leak)
    return call.builder.activated(value, leak)


def _relu6(call: Call) -> Value:
    """relu(z) - relu(z - 6)."""
    value = call.value
    ones = call.builder.like.detach().new_ones(value.size)
    above = call.builder.scaled(value, ones, -6 * ones, by_channel=True)
    low = call.builder.activated(value, 0.0)
    high = call.builder.activated(above, 0.0)
    minus = call.builder.scaled(high, -ones, torch.zeros_like(ones), by_channel=True)
    return call.builder.total([low, minus])


def _batch_norm(call: Call) -> Value:
    module = call.module
    assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    if module.training or module.running_mean is None or module.running_var is None:
        raise call.error("has no fixed statistics: it must be in evaluation mode")
    value = call.value
    channels = value.shape[0]
    if channels != module.num_features:
        raise call.error(f"takes {module.num_features} channels, got shape {tuple(value.shape)}")
    scale = (module.running_var + module.eps).rsqrt()
    if module.weight is not None:
        scale = scale * module.weight
    shift = -module.running_mean * scale
    if module.bias is not None:
        shift = shift + module.bias
    weight, bias = (_over_channels(call, part) for part in (scale, shift))
    return call.builder.scaled(value, weight, bias, by_channel=len(value.shape) == 3)


def _over_channels(call: Call, values: Tensor) -> Tensor:
    """A number for each channel, as one for each entry."""
    value = call.value
    wide = values.view(-1, *[1] * (len(value.shape) - 1)).expand(value.shape)
    return _flat(value, wide)


def _flat(value: Value, image: Tensor) -> Tensor:
    """An image in the order of the value's entries."""
    if value.order is not None:
        return torch.zeros_like(image).index_copy(0, value.order.to(image.device), image)
    return (image.permute(1, 2, 0) if image.ndim == 3 else image).flatten()


def _add(call: Call) -> Value:
    return _sum(call, *_two(call), 1.0)


def _sub(call: Call) -> Value:
    return _sum(call, *_two(call), -1.0)


def _two(call: Call) -> tuple[Any, Any]:
    """The two that an operation takes, and nothing else."""
    if len(call.args) != 2 or call.kwargs:
        raise call.error("is used with more than two values, which is not supported")
    return call.args[0], call.args[1]


def _sum(call: Call, a: Any, b: Any, sign: float) -> Value:
    """A + sign b."""
    if isinstance(b, Value):
        b = b if sign == 1 else _scaled(call, b, sign, 0.0)
        if not isinstance(a, Value):
            return _scaled(call, b, 1.0, a)
        if a.shape != b.shape or not _same_order(a, b):
            raise call.error(f"adds shapes {tuple(a.shape)} and {tuple(b.shape)}")
        return call.builder.total([a, b])
    assert isinstance(a, Value)
    return _scaled(call, a, 1.0, sign * b)


def _same_order(a: Value, b: Value) -> bool:
    if a.order is None or b.order is None:
        return a.order is b.order
    return torch.equal(a.order, b.order)


def _mul(call: Call) -> Value:
    a, b = _two(call)
    if isinstance(a, Value) and isinstance(b, Value):
        raise call.error("multiplies two values of the network")
    return _scaled(call, a, b, 0.0) if isinstance(a, Value) else _scaled(call, b, a, 0.0)


def _div(call: Call) -> Value:
    a, b = _two(call)
    if isinstance(b, Value):
        raise call.error("divides by a value of the network")
    like = call.builder.like
    return _scaled(call, a, 1 / torch.as_tensor(b, dtype=like.dtype, device=like.device), 0.0)


def _neg(call: Call) -> Value:
    return _scaled(call, call.value, -1.0, 0.0)


def _scaled(call: Call, value: Value, weight: Any, bias: Any) -> Value:
    """Times a constant, plus another: numbers, or tensors that torch would broadcast."""
    factors, shifts = (_constant(call, value, constant) for constant in (weight, bias))
    by_channel = all(_by_channel(value, constant) for constant in (weight, bias))
    return call.builder.scaled(value, factors, shifts, by_channel=by_channel)


def _constant(call: Call, value: Value, constant: Any) -> Tensor:
    like = call.builder.like.detach()
    tensor = torch.as_tensor(constant, dtype=like.dtype, device=like.device)
    if tensor.ndim > len(value.shape):
        tensor = tensor.squeeze(0)
    try:
        return _flat(value, tensor.expand(value.shape))
    except RuntimeError:
        raise call.error(
            f"has a constant of shape {tuple(tensor.shape)} for values of {tuple(value.shape)}"
        ) from None


def _by_channel(value: Value, constant: Any) -> bool:
    if not isinstance(constant, Tensor) or constant.numel() == 1:
        return True
    return len(value.shape) == 3 and constant.shape[-2:] == (1, 1)


def _cat(call: Call) -> Value:
    values = call.args[0]
    dim = call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else 0)
    if dim not in (1, -len(values[0].shape)) or not all(isinstance(v, Value) for v in values):
        raise call.error("joins along another axis than channels or features")
    if len({v.shape[1:] for v in values}) > 1 or any(v.order is not None for v in values):
        raise call.error("joins shapes that do not fit")
    shape = (sum(v.shape[0] for v in values), *values[0].shape[1:])
    device = call.builder.like.device
    numbers = torch.arange(math.prod(shape), device=device).view(-1, shape[0])
    targets = [part.flatten() for part in numbers.split([v.shape[0] for v in values], dim=1)]
    return call.builder.joined(values, targets, shape)


def _max_pool(call: Call) -> Value:
    value = call.value
    shape = call.image(value)
    kernel, stride, padding, dilation = _window(call)
    if call.setting("return_indices", 6, False) or call.setting("ceil_mode", 5, False):
        raise call.error("returns indices or rounds its size up, which is not supported")
    windows, pooled = pool_windows(shape, kernel, stride, padding, dilation)
    if not isinstance(value, Unrectified):
        return call.builder.maximum(value, windows, pooled)
    plain = Value(**{k: v for k, v in vars(value).items() if k != "leak"})
    return call.builder.activated(call.builder.maximum(plain, windows, pooled), value.leak)


def _window(
    call: Call,
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]:
    kernel = _pair(call.setting("kernel_size", 1, None))
    stride = _pair(call.setting("stride", 2, None) or kernel)
    return (
        kernel,
        stride,
        _pair(call.setting("padding", 3, 0)),
        _pair(call.setting("dilation", 4, 1)),
    )


def _average_pool(call: Call) -> Value:
    shape = call.image(call.value)
    kernel = _pair(call.setting("kernel_size", 1, None))
    stride = _pair(call.setting("stride", 2, None) or kernel)
    padding = _pair(call.setting("padding", 3, 0))
    counts_padding = call.setting("count_include_pad", 5, True)
    if call.setting("ceil_mode", 4, False) or call.setting("divisor_override", 6, None):
        raise call.error("rounds its size up or has a divisor, which is not supported")
    if max(padding) and not counts_padding:
        raise call.error("leaves padding out of its averages, which is not supported")
    return _averaged(call, shape, kernel, stride, padding)


def _averaged(
    call: Call,
    shape: tuple[int, int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Value:
    like = call.builder.like.detach()
    weight = like.new_full((shape[0], 1, *kernel), 1 / math.prod(kernel))
    bias = like.new_zeros(shape[0])
    pool = GeneralConv(weight, bias, stride, padding, (1, 1), shape[0], shape)
    return call.builder.mapped(call.value, pool, pool.out_shape)


def _global_pool(call: Call) -> Value:
    shape = call.image(call.value)
    size = call.setting("output_size", 1, None)
    if size not in (1, (1, 1)):
        raise call.error(f"has output size {size}, expected 1")
    return _averaged(call, shape, shape[1:], (1, 1), (0, 0))


def _flatten(call: Call) -> Value:
    start = call.setting("start_dim", 1, 0)
    if start != 1 or call.setting("end_dim", 2, -1) not in (-1, len(call.value.shape)):
        raise call.error("flattens other axes than all but the first")
    return _as_vector(call.value)


def _as_vector(value: Value) -> Value:
    if len(value.shape) == 1:
        return value
    channels, height, width = value.shape
    order = None
    if channels > 1 and height * width > 1:
        numbers = torch.arange(value.size).view(height, width, channels)
        order = numbers.permute(2, 0, 1).flatten()
    return replace(value, shape=(value.size,), order=order)


def _reshape(call: Call) -> Value:
    value = call.value
    sizes = call.args[1] if isinstance(call.args[1], tuple | list) else call.args[1:]
    wanted = [size for size in sizes[1:] if isinstance(size, int)]
    if sizes[0] not in ("batch", -1):
        raise call.error(f"gives {sizes[0]} inputs, which is not supported")
    if len(wanted) == len(sizes) - 1 == 1 and wanted[0] in (-1, value.size):
        return _as_vector(value)
    if len(wanted) == len(sizes) - 1 == 3 and math.prod(wanted) == value.size:
        return _as_images(call, value, (wanted[0], wanted[1], wanted[2]))
    raise call.error(f"makes {tuple(sizes)} of {tuple(value.shape)}, which is not supported")


def _as_images(call: Call, value: Value, shape: tuple[int, int, int]) -> Value:
    vector = _as_vector(value)
    channels, height, width = shape
    numbers = torch.arange(value.size) if vector.order is None else vector.order
    entries = numbers.view(channels, height, width).permute(1, 2, 0).flatten()
    if torch.equal(entries, torch.arange(value.size)):
        return replace(vector, shape=shape, order=None)
    plain = call.builder.plain(vector)
    source = plain.terms[0][0]
    first = source.start if isinstance(source, slice) else 0
    chosen = entries + first if isinstance(source, slice) else source.cpu()[entries]
    term = (chosen.to(call.builder.like.device), None, slice(0, value.size))
    return Value(plain.level, (term,), value.size, shape)


def _size(call: Call) -> Any:
    """Of the batch: whatever is done with it, the inputs stay apart."""
    sizes = ("batch", *call.value.shape)
    return sizes[call.args[1]] if len(call.args) > 1 else sizes


def _same(call: Call) -> Value:
    return call.value


def _dropout(call: Call) -> Value:
    if call.setting("training", 2, True):
        raise call.error("is random: it must be in evaluation mode")
    return call.value


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def name_of(operation: Any) -> str:
    """What an operation is called in messages."""
    return operation if isinstance(operation, str) else getattr(operation, "__name__", "?")


OPERATIONS: Mapping[Any, Callable[[Call], Any]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.ReLU: _relu,
    nn.LeakyReLU: _leaky,
    nn.ReLU6: _relu6,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    nn.AdaptiveAvgPool2d: _global_pool,
    nn.Flatten: _flatten,
    nn.Identity: _same,
    nn.Dropout: _dropout,
    torch.add: _add,
    torch.sub: _sub,
    torch.mul: _mul,
    torch.div: _div,
    torch.neg: _neg,
    torch.cat: _cat,
    torch.reshape: _reshape,
    "size": _size,
}
"""by type of module, or by function"""

ALIASES = frozenset({_same, _dropout, _flatten, _reshape, _size})
"""operations that give their input under another name"""

KEYWORDS = frozenset(
    {
        "bias",
        "ceil_mode",
        "count_include_pad",
        "dilation",
        "dim",
        "end_dim",
        "groups",
        "inplace",
        "kernel_size",
        "negative_slope",
        "output_size",
        "p",
        "padding",
        "return_indices",
        "start_dim",
        "stride",
        "training",
    }
)
"""names of arguments that operations read; with any other, they would mean something else"""
