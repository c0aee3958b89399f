"""Layers with weights: Linear, Conv2d, batch norm."""

import torch
from torch import Tensor, nn

from relu.network.batch_norm import FixedBatchNorm, scale_and_shift
from relu.network.blocks import GeneralConv
from relu.network.builder import Value
from relu.network.layers import Conv, Dense
from relu.network.operations.arithmetic import flat
from relu.network.operations.call import Call, pair_of


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
    shape = call.image(call.value)
    weight = call.setting("weight", 1, None)
    bias = call.setting("bias", 2, None)
    groups = call.setting("groups", 6, 1)
    if shape[0] != weight.shape[1] * groups:
        raise call.error(f"takes {weight.shape[1] * groups} channels, got shape {shape}")
    if isinstance(call.module, nn.Conv2d) and call.module.padding_mode != "zeros":
        raise call.error(f"pads with {call.module.padding_mode}, not with zeros")
    dilation = pair_of(call.setting("dilation", 5, 1))
    convolution = convolution_of(
        weight,
        weight.new_zeros(len(weight)) if bias is None else bias,
        pair_of(call.setting("stride", 3, 1)),
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
        return pair_of(padding)
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
    weight, bias = (_over_channels(call, part) for part in scale_and_shift(module))
    return call.builder.scaled(value, weight, bias, by_channel=len(value.shape) == 3)


def _over_channels(call: Call, values: Tensor) -> Tensor:
    """A number for each channel, as one for each entry."""
    value = call.value
    wide = values.view(-1, *[1] * (len(value.shape) - 1)).expand(value.shape)
    return flat(value, wide)
