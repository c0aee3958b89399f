"""Poolings: the largest or the mean of windows."""

import math
from dataclasses import dataclass, fields
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from relu.network.blocks import GeneralConv
from relu.network.convolution import evenly_padded
from relu.network.layers import Shape
from relu.network.operations.activations import Unrectified
from relu.network.operations.arithmetic import scaled
from relu.network.operations.call import Call, pair_of
from relu.network.value import Value


@dataclass(frozen=True, eq=False)
class Padded(Value):
    """An image with -inf around it (left, right, top, bottom), for the max-pooling after it.

    shape: of the image without that.
    """

    widths: tuple[int, int, int, int] = (0, 0, 0, 0)


def max_pool(call: Call) -> Value:
    """The largest entry of each window; padding never wins."""
    value, shape = call.images()
    if call.setting("return_indices", 6, False):
        raise call.error("returns indices, which is not supported")
    windows, pooled = _windows(call, value, shape)
    if bool((windows[:, 0] < 0).any()):
        raise call.error("has windows that see nothing but padding")
    plain = Value(**{f.name: getattr(value, f.name) for f in fields(Value)})
    largest = call.builder.maximum(plain, windows, pooled)
    if isinstance(value, Unrectified):
        return call.builder.activated(largest, value.leak)
    return largest


def _windows(
    call: Call, value: Value, shape: tuple[int, int, int]
) -> tuple[Int[Tensor, "w k"], Shape]:
    kernel, stride, padding = _window(call)
    dilation = pair_of(call.setting("dilation", 4, 1))
    before = value.widths if isinstance(value, Padded) else (0, 0, 0, 0)
    outer = (shape[1] + before[2] + before[3], shape[2] + before[0] + before[1])
    reach = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
    bottom, right = (0, 0)
    if call.setting("ceil_mode", 5, False):
        bottom, right = map(_more, outer, reach, stride, padding)
    widths = (
        before[0] + padding[1],
        before[1] + padding[1] + right,
        before[2] + padding[0],
        before[3] + padding[0] + bottom,
    )
    return pool_windows(shape, kernel, stride, widths, dilation)


def _window(call: Call) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Kernel, stride and padding."""
    kernel = pair_of(call.setting("kernel_size", 1, None))
    stride = pair_of(call.setting("stride", 2, None) or kernel)
    return kernel, stride, pair_of(call.setting("padding", 3, 0))


def _more(side: int, reach: int, stride: int, padding: int) -> int:
    """How far the last window reaches beyond the padding where their number is rounded up.

    It must begin before the padding behind the image.
    """
    count = -(-(side + 2 * padding - reach) // stride) + 1
    if (count - 1) * stride >= side + padding:
        count -= 1
    return max((count - 1) * stride + reach - side - 2 * padding, 0)


def average_pool(call: Call) -> Value:
    """The mean of each window, whose divisor may depend on how much of it is padding."""
    value, shape = call.images()
    kernel, stride, padding = _window(call)
    rounds_up = call.setting("ceil_mode", 4, False)
    counts_padding = call.setting("count_include_pad", 5, True)
    if call.setting("divisor_override", 6, None):
        raise call.error("has a divisor, which is not supported")
    if not rounds_up and (counts_padding or not max(padding)):
        return _averaged(call, value, shape, kernel, stride, padding, 1 / math.prod(kernel))
    ends = map(_more, shape[1:], kernel, stride, padding) if rounds_up else (0, 0)
    summed = _averaged(call, value, shape, kernel, stride, padding, 1.0, *ends)
    ones = torch.ones(1, 1, *shape[1:], dtype=torch.float64)
    options = (kernel, stride, padding, rounds_up)
    counts = F.avg_pool2d(ones, *options, counts_padding, divisor_override=1)
    means = F.avg_pool2d(ones, *options, counts_padding)
    divisors = (counts / means).round()[0].expand(summed.shape)
    return scaled(call, summed, 1 / divisors, 0.0)


def _averaged(
    call: Call,
    value: Value,
    shape: tuple[int, int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    factor: float,
    bottom: int = 0,
    right: int = 0,
) -> Value:
    """The sum of each window, times a factor; more is padded at the bottom and on the right."""
    like = call.builder.like.detach()
    top, left = padding
    weight, even = evenly_padded(
        like.new_full((shape[0], 1, *kernel), factor), (left, left + right, top, top + bottom)
    )
    bias = like.new_zeros(shape[0])
    pool = GeneralConv(weight, bias, stride, even, (1, 1), shape[0], shape)
    return call.builder.mapped(value, pool, pool.out_shape)


def global_pool(call: Call) -> Value:
    """The mean of each channel."""
    value, shape = call.images()
    size = call.setting("output_size", 1, None)
    if size not in (1, (1, 1)):
        raise call.error(f"has output size {size}, expected 1")
    return _averaged(call, value, shape, shape[1:], (1, 1), (0, 0), 1 / math.prod(shape[1:]))


@lru_cache(maxsize=64)
def pool_windows(
    shape: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    widths: tuple[int, int, int, int],
    dilation: tuple[int, int],
) -> tuple[Int[Tensor, "w k"], Shape]:
    """The entries of each window of a pooling, there first and then -1; and the shape of all.

    widths: of the padding, left, right, top, bottom.
    """
    channels, height, width = shape
    numbers = torch.arange(1, channels * height * width + 1, dtype=torch.float64)
    images = numbers.view(height, width, channels).permute(2, 0, 1).unsqueeze(1)
    padded = F.pad(images, list(widths))
    entries = F.unfold(padded, kernel, dilation, 0, stride).long() - 1
    rows, columns = (
        (side - d * (k - 1) - 1) // s + 1
        for side, k, s, d in zip(padded.shape[2:], kernel, stride, dilation, strict=True)
    )
    windows = entries.permute(2, 0, 1).flatten(0, 1)
    order = (windows < 0).long().sort(dim=1, stable=True).indices
    return windows.gather(1, order), (channels, rows, columns)
