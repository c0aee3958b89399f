"""Poolings: the largest or the mean of windows."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from relu.network.blocks import GeneralConv
from relu.network.builder import Value
from relu.network.layers import Shape
from relu.network.operations.activations import Unrectified
from relu.network.operations.call import Call, pair_of


def max_pool(call: Call) -> Value:
    """The largest entry of each window; padding never wins."""
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
    kernel = pair_of(call.setting("kernel_size", 1, None))
    stride = pair_of(call.setting("stride", 2, None) or kernel)
    return (
        kernel,
        stride,
        pair_of(call.setting("padding", 3, 0)),
        pair_of(call.setting("dilation", 4, 1)),
    )


def average_pool(call: Call) -> Value:
    """The mean of each window, padding counted as zeros."""
    shape = call.image(call.value)
    kernel = pair_of(call.setting("kernel_size", 1, None))
    stride = pair_of(call.setting("stride", 2, None) or kernel)
    padding = pair_of(call.setting("padding", 3, 0))
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


def global_pool(call: Call) -> Value:
    """The mean of each channel."""
    shape = call.image(call.value)
    size = call.setting("output_size", 1, None)
    if size not in (1, (1, 1)):
        raise call.error(f"has output size {size}, expected 1")
    return _averaged(call, shape, shape[1:], (1, 1), (0, 0))


@lru_cache(maxsize=64)
def pool_windows(
    shape: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[Int[Tensor, "w k"], Shape]:
    """The entries of each window of a pooling, there first and then -1; and the shape of all."""
    channels, height, width = shape
    numbers = torch.arange(1, channels * height * width + 1, dtype=torch.float64)
    images = numbers.view(height, width, channels).permute(2, 0, 1).unsqueeze(1)
    entries = F.unfold(images, kernel, dilation, padding, stride).long() - 1
    rows, columns = (
        (side + 2 * p - d * (k - 1) - 1) // s + 1
        for side, k, s, p, d in zip(shape[1:], kernel, stride, padding, dilation, strict=True)
    )
    windows = entries.permute(2, 0, 1).flatten(0, 1)
    order = (windows < 0).long().sort(dim=1, stable=True).indices
    return windows.gather(1, order), (channels, rows, columns)
