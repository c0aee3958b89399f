"""Convolutions, poolings, means."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from relu.network.convolution import evenly_padded
from relu.network.layers import Shape
from relu.network.onnx.call import Call
from relu.network.onnx.limits import MOST_WEIGHTS, Total
from relu.network.onnx.network import Symbol, float32
from relu.network.onnx.operations.reshaping import permuted, reshaped
from relu.network.onnx.operations.window import Window, window_of

MOST_COMPARED = 2**25  # entries of all windows of a max-pooling, of one of an average


def image_of(call: Call) -> tuple[Symbol, int]:
    """The value as an image, and how many axes its windows have; signals are one entry wide."""
    shape = call.value.shape
    if len(shape) not in (2, 3):
        raise call.error(f"needs images or signals, got values of {('n', *shape)}")
    if len(shape) == 2:
        return reshaped(call, call.value, (*shape, 1)), 1
    return call.value, 2


def _finished(call: Call, image: Symbol, axes: int) -> Symbol:
    return image if axes == 2 else reshaped(call, image, image.shape[:2])


def conv(call: Call) -> Symbol:
    """A convolution, padded with zeros."""
    image, axes = image_of(call)
    kernel, groups = _kernel_of(call, image, axes)
    window = window_of(call, image.shape[1:], kernel.shape[2:])
    weight = float32(kernel.reshape(*kernel.shape[:2], *window.kernel))
    padding = window.begin
    if window.begin != window.end and window.dilation == (1, 1):
        Total("weights", MOST_WEIGHTS).add((*kernel.shape[:2], *window.larger_kernel))
        weight, padding = evenly_padded(weight, window.widths)
    elif window.begin != window.end:
        image = call.apply(F.pad, image, window.widths)
        padding = (0, 0)
    named = call.builder.parameter(f"{call.prefix}_weight", weight)
    bias = call.constant(2)
    if bias is not None and bias.shape != kernel.shape[:1]:
        raise call.error(f"has a bias of shape {bias.shape} for {len(kernel)} channels")
    added = None if bias is None else call.parameter("bias", bias)
    options = (window.stride, padding, window.dilation, groups)
    return _finished(call, call.apply(F.conv2d, image, named, added, *options), axes)


def _kernel_of(call: Call, image: Symbol, axes: int) -> tuple[np.ndarray, int]:
    """The kernel, and the number of its groups."""
    kernel = call.required(1)
    groups = call.integer("group", 1)
    sides = kernel.shape[2:]
    named = call.integers("kernel_shape")
    if kernel.ndim != axes + 2 or not kernel.size or named not in (None, sides):
        raise call.error(f"has a kernel of shape {kernel.shape}, and another kernel_shape")
    if groups < 1 or len(kernel) % groups or image.shape[0] != kernel.shape[1] * groups:
        raise call.error(
            f"has a kernel of shape {kernel.shape} in {groups} groups "
            f"for values of {('n', *call.value.shape)}"
        )
    return kernel, groups


def max_pool(call: Call) -> Symbol:
    """The largest entry of each window; padding never wins."""
    image, axes = image_of(call)
    window = window_of(call, image.shape[1:], _kernel(call, axes))
    if call.integer("storage_order", 0):
        raise call.error("numbers its entries by columns, which is not supported")
    end = (window.end[0] + window.beyond[0], window.end[1] + window.beyond[1])
    if not all(_counts(window, i, side, False).all() for i, side in enumerate(image.shape[1:])):
        raise call.error("has windows that see nothing but padding")
    padding = window.begin
    if window.begin != end or any(2 * p > k for p, k in zip(padding, window.kernel, strict=True)):
        widths = (window.begin[1], end[1], window.begin[0], end[0])
        image = call.apply(F.pad, image, widths, value=-math.inf)
        padding = (0, 0)
    options = (window.kernel, window.stride, padding, window.dilation)
    pooled = call.apply(F.max_pool2d, image, *options)
    Total("entries of windows", MOST_COMPARED).add((*pooled.shape, *window.kernel))
    return _finished(call, pooled, axes)


def _kernel(call: Call, axes: int) -> tuple[int, ...]:
    kernel = call.integers("kernel_shape") or ()
    if len(kernel) != axes:
        raise call.error(f"has a kernel of {list(kernel)[:8]} for {axes} axes")
    return kernel


def average_pool(call: Call) -> Symbol:
    """The mean of each window, of its entries in the image, or of those in the padding, too."""
    image, axes = image_of(call)
    window = window_of(call, image.shape[1:], _kernel(call, axes))
    Total("entries of windows", MOST_COMPARED).add((image.shape[0], *window.kernel))
    counts_padding = bool(call.integer("count_include_pad", 0))
    plain = window.begin == window.end and window.dilation == (1, 1)
    if plain and all(2 * p <= k for p, k in zip(window.begin, window.kernel, strict=True)):
        rounds_up = any(window.beyond)
        options = (window.kernel, window.stride, window.begin, rounds_up, counts_padding)
        return _finished(call, call.apply(F.avg_pool2d, image, *options), axes)
    counts = [_counts(window, i, side, counts_padding) for i, side in enumerate(image.shape[1:])]
    divisors = counts[0][:, None] * counts[1]
    if not divisors.all():
        raise call.error("has windows that see nothing but padding")
    return _finished(call, _summed(call, image, window, divisors), axes)


def _counts(window: Window, axis: int, side: int, counts_padding: bool) -> np.ndarray:
    """How many entries of each window along an axis its mean is of."""
    begin, end = window.begin[axis], window.end[axis]
    reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1
    last = side + end + window.beyond[axis] - reach
    starts = np.arange(-begin, last + 1, window.stride[axis])
    ends = (-begin, side + end) if counts_padding else (0, side)
    before, within = (
        np.clip(-((starts - place) // window.dilation[axis]), 0, window.kernel[axis])
        for place in ends
    )
    counts: np.ndarray = (within - before).astype(np.float32)
    return counts


def _summed(call: Call, image: Symbol, window: Window, divisors: np.ndarray) -> Symbol:
    """The sum of each window, divided."""
    widths = (
        window.begin[1],
        window.end[1] + window.beyond[1],
        window.begin[0],
        window.end[0] + window.beyond[0],
    )
    channels = image.shape[0]
    ones = call.buffer("ones", np.ones((channels, 1, *window.kernel), dtype=np.float32))
    padded = call.apply(F.pad, image, widths) if any(widths) else image
    options = (None, window.stride, (0, 0), window.dilation, channels)
    sums = call.apply(F.conv2d, padded, ones, *options)
    return call.apply(torch.div, sums, call.buffer("divisors", divisors))


def global_average_pool(call: Call) -> Symbol:
    """The mean of each channel."""
    shape = call.value.shape
    return _mean(call, range(2, len(shape) + 1), keeps=True)


def reduce_mean(call: Call) -> Symbol:
    """The mean over axes."""
    numbers = call.listed("axes", 1, 18)
    if not numbers and call.integer("noop_with_empty_axes", 0):
        return call.value
    if not numbers:
        raise call.error("is the mean over all axes, the inputs' too")
    axes = call.axes(numbers, len(call.value.shape) + 1)
    return _mean(call, sorted(axes), keeps=bool(call.integer("keepdims", 1)))


def _mean(call: Call, axes: Sequence[int], *, keeps: bool) -> Symbol:
    shape: Shape = call.value.shape
    if not axes:
        return call.value
    others = [axis for axis in range(1, len(shape) + 1) if axis not in axes]
    channels = math.prod(shape[axis - 1] for axis in others)
    after = [
        1 if axis in axes else size
        for axis, size in enumerate(shape, 1)
        if keeps or axis not in axes
    ]
    value = permuted(call, call.value, (0, *others, *axes))
    sides = [shape[axis - 1] for axis in axes]
    image = reshaped(call, value, (channels, math.prod(sides[:-1]), sides[-1]))
    return reshaped(call, call.apply(F.adaptive_avg_pool2d, image, 1), after)
