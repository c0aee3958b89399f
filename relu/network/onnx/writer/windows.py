"""Poolings."""

from typing import Any

from relu.network.onnx.network import Symbol
from relu.network.onnx.writer.call import Call
from relu.network.operations.call import pair_of


def max_pool(call: Call) -> Symbol:
    """MaxPool, whose padding never wins."""
    if call.setting("return_indices", 6, False):
        raise call.error("returns indices, which is not supported")
    return _pooled(
        call,
        "MaxPool",
        dilations=pair_of(call.setting("dilation", 4, 1)),
        ceil_mode=int(call.setting("ceil_mode", 5, False)),
    )


def average_pool(call: Call) -> Symbol:
    """AveragePool, whose divisor counts the padding or does not."""
    if call.setting("divisor_override", 6, None):
        raise call.error("has a divisor, which is not supported")
    return _pooled(
        call,
        "AveragePool",
        ceil_mode=int(call.setting("ceil_mode", 4, False)),
        count_include_pad=int(call.setting("count_include_pad", 5, True)),
    )


def _pooled(call: Call, operation: str, **attributes: Any) -> Symbol:
    kernel = pair_of(call.setting("kernel_size", 1, None))
    padding = pair_of(call.setting("padding", 3, 0))
    return call.add(
        operation,
        [call.images().name],
        kernel_shape=kernel,
        strides=pair_of(call.setting("stride", 2, None) or kernel),
        pads=[*padding, *padding],
        **attributes,
    )


def global_pool(call: Call) -> Symbol:
    """GlobalAveragePool."""
    size = call.setting("output_size", 1, None)
    if size not in (1, (1, 1)):
        raise call.error(f"has output size {size}, expected 1")
    return call.add("GlobalAveragePool", [call.images().name])
