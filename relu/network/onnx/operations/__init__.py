"""What ONNX's operations are in torch: one function each, looked up in RULES."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relu.network.onnx.call import Call
from relu.network.onnx.network import Symbol
from relu.network.onnx.operations.affine import batch_norm, gemm, matmul
from relu.network.onnx.operations.elementwise import (
    add,
    clip,
    div,
    leaky_relu,
    mul,
    neg,
    prelu,
    relu,
    sub,
)
from relu.network.onnx.operations.reshaping import (
    concat,
    dropout,
    flatten,
    identity,
    pad,
    reshape,
    squeeze,
    transpose,
    unsqueeze,
)
from relu.network.onnx.operations.windows import (
    average_pool,
    conv,
    global_average_pool,
    max_pool,
    reduce_mean,
)

MANY = 1000  # inputs of a concatenation


@dataclass(frozen=True)
class Rule:
    """How an operation is read: with how many inputs, and which attributes, in words."""

    function: Callable[[Call], Symbol]
    least: int
    most: int
    attributes: str = ""


WINDOW = "auto_pad dilations kernel_shape pads strides"

RULES: Mapping[str, Rule] = {
    "Add": Rule(add, 2, 2),
    "AveragePool": Rule(average_pool, 1, 1, f"{WINDOW} ceil_mode count_include_pad"),
    "BatchNormalization": Rule(batch_norm, 5, 5, "epsilon momentum spatial training_mode"),
    "Clip": Rule(clip, 1, 3, "max min"),
    "Concat": Rule(concat, 1, MANY, "axis"),
    "Conv": Rule(conv, 2, 3, f"{WINDOW} group"),
    "Div": Rule(div, 2, 2),
    "Dropout": Rule(dropout, 1, 3, "ratio seed"),
    "Flatten": Rule(flatten, 1, 1, "axis"),
    "Gemm": Rule(gemm, 2, 3, "alpha beta transA transB"),
    "GlobalAveragePool": Rule(global_average_pool, 1, 1),
    "Identity": Rule(identity, 1, 1),
    "LeakyRelu": Rule(leaky_relu, 1, 1, "alpha"),
    "MatMul": Rule(matmul, 2, 2),
    "MaxPool": Rule(max_pool, 1, 1, f"{WINDOW} ceil_mode storage_order"),
    "Mul": Rule(mul, 2, 2),
    "Neg": Rule(neg, 1, 1),
    "PRelu": Rule(prelu, 2, 2),
    "Pad": Rule(pad, 1, 4, "mode pads value"),
    "ReduceMean": Rule(reduce_mean, 1, 2, "axes keepdims noop_with_empty_axes"),
    "Relu": Rule(relu, 1, 1),
    "Reshape": Rule(reshape, 2, 2, "allowzero"),
    "Squeeze": Rule(squeeze, 1, 2, "axes"),
    "Sub": Rule(sub, 2, 2),
    "Transpose": Rule(transpose, 1, 1, "perm"),
    "Unsqueeze": Rule(unsqueeze, 1, 2, "axes"),
}
"""by ONNX's name"""
