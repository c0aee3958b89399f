"""Layers with weights: Linear, Conv2d, batch norm."""

import torch
from torch import Tensor, nn

from relu.network.batch_norm import FixedBatchNorm, scale_and_shift
from relu.network.blocks import GeneralConv
from relu.network.convolution import evenly_padded
from relu.network.layers import Conv, Dense
from relu.network.operations.arithmetic import flat, is_by_channel
from relu.network.operations.call import Call, pair_of
from relu.network.value import Value


def linear(call: Call) -> Value:
    """W g + b, the columns of W in the order of the entries."""
    value = call.value
    weight = call.setting("weight", 1, None)
    given_bias = call.setting("bias", 2, None)
    if len(value.shape) != 1 or value.size != weight.shape[1]:
        raise call.error(f"takes {weight.shape[1]} numbers, got shape {tuple(value.shape)}")
    if value.order is not None:
        weight = torch.zeros_like(weight).index_copy(1, value.order.to(weight.device), weight)
    bias = weight.new_zeros(len(weight)) if given_bias is None else given_bias
    return call.builder.mapped(value, Dense(weight, bias), (len(weight),))


def conv(call: Call) -> Value:
    """A convolution, padded with zeros."""
    value, shape = call.images()
    weight = call.setting("weight", 1, None)
    bias = call.setting("bias", 2, None)
    groups = call.setting("groups", 6, 1)
    if shape[0] != weight.shape[1] * groups:
        raise call.error(f"takes {weight.shape[1] * groups} channels, got shape {shape}")
    if isinstance(call.module, nn.Conv2d) and call.module.padding_mode != "zeros":
        raise call.error(f"pads with {call.module.padding_mode}, not with zeros")
    dilation = pair_of(call.setting("dilation", 5, 1))
    kernel, padding = _padded(call, dilation, weight)
    convolution = convolution_of(
        kernel,
        weight.new_zeros(len(weight)) if bias is None else bias,
        pair_of(call.setting("stride", 3, 1)),
        padding,
        dilation,
        groups,
        shape,
    )
    return call.builder.mapped(value, convolution, convolution.out_shape)


def _padded(
    call: Call, dilation: tuple[int, int], weight: Tensor
) -> tuple[Tensor, tuple[int, int]]:
    """The kernel and its padding, the same on both sides."""
    padding = call.setting("padding", 4, 0)
    if padding == "valid":
        return weight, (0, 0)
    if padding != "same":
        return weight, pair_of(padding)
    height, width = (d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True))
    if not height % 2 and not width % 2:
        return weight, (height // 2, width // 2)
    widths = (width // 2, width - width // 2, height // 2, height - height // 2)
    return evenly_padded(weight, widths)


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


def batch_norm(call: Call) -> Value:
    """(z - mean) / sqrt(var + eps) * weight + bias, with fixed statistics."""
    module = call.module
    assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | FixedBatchNorm)
    moving = module.training and not isinstance(module, FixedBatchNorm)
    if moving or module.running_mean is None or module.running_var is None:
        raise call.error("has no fixed statistics: it must be in evaluation mode")
    value = call.value
    channels = value.shape[0]
    if channels != module.num_features:
        raise call.error(f"takes {module.num_features} channels, got shape {tuple(value.shape)}")
    channelwise = [part.view(-1, *[1] * (len(value.shape) - 1)) for part in scale_and_shift(module)]
    weight, bias = (flat(value, part.expand(value.shape)) for part in channelwise)
    by_channel = is_by_channel(value, channelwise[0])
    scaled = call.builder.scaled
    return scaled(value, weight, bias, by_channel=by_channel, normalises=True)
