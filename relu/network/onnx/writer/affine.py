"""Layers with weights."""

import torch
from torch import nn

from relu.network.batch_norm import FixedBatchNorm
from relu.network.onnx.network import Symbol
from relu.network.onnx.writer.call import Call
from relu.network.operations.call import pair_of


def linear(call: Call) -> Symbol:
    """Gemm: W x + b."""
    if len(call.value.shape) != 1:
        raise call.error(f"is applied to values of {('n', *call.value.shape)}, no vectors")
    return call.add("Gemm", _weighted(call), transB=1)


def conv(call: Call) -> Symbol:
    """Conv, padded with zeros."""
    call.images()
    if isinstance(call.module, nn.Conv2d) and call.module.padding_mode != "zeros":
        raise call.error(f"pads with {call.module.padding_mode}, not with zeros")
    kernel = tuple(call.setting("weight", 1, None).shape[2:])
    dilation = pair_of(call.setting("dilation", 5, 1))
    return call.add(
        "Conv",
        _weighted(call),
        kernel_shape=kernel,
        strides=pair_of(call.setting("stride", 3, 1)),
        pads=_pads(call, kernel, dilation),
        dilations=dilation,
        group=call.setting("groups", 6, 1),
    )


def _weighted(call: Call) -> list[str]:
    """Value, weight and, where there is one, bias."""
    bias = call.setting("bias", 2, None)
    weight = call.numbers("weight", call.setting("weight", 1, None))
    return [call.value.name, weight, *([] if bias is None else [call.numbers("bias", bias)])]


def _pads(call: Call, kernel: tuple[int, ...], dilation: tuple[int, int]) -> list[int]:
    """Top, left, bottom, right."""
    padding = call.setting("padding", 4, 0)
    if padding == "valid":
        return [0, 0, 0, 0]
    if padding != "same":
        return [*pair_of(padding), *pair_of(padding)]
    whole = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    before = [width // 2 for width in whole]
    return [*before, *(width - first for width, first in zip(whole, before, strict=True))]


def batch_norm(call: Call) -> Symbol:
    """BatchNormalization with fixed statistics."""
    module = call.module
    assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | FixedBatchNorm)
    mean = module.running_mean
    if mean is None or module.running_var is None:
        raise call.error("has no fixed statistics")
    parts = {
        "scale": torch.ones_like(mean) if module.weight is None else module.weight,
        "shift": torch.zeros_like(mean) if module.bias is None else module.bias,
        "mean": mean,
        "variance": module.running_var,
    }
    names = [call.numbers(role, values) for role, values in parts.items()]
    return call.add("BatchNormalization", [call.value.name, *names], epsilon=module.eps)
