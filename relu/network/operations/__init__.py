"""What torch's operations are in the normal form: one function each, looked up in OPERATIONS."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from relu.network.operations.activations import clamp, leaky, relu, relu6
from relu.network.operations.affine import batch_norm, conv, linear
from relu.network.operations.arithmetic import add, div, mul, neg, sub
from relu.network.operations.call import Call
from relu.network.operations.pooling import average_pool, global_pool, max_pool
from relu.network.operations.reshaping import (
    cat,
    dropout,
    flatten,
    pad,
    permute,
    reshape,
    size,
    squeeze,
    transpose,
    unchanged,
    unsqueeze,
)

OPERATIONS: Mapping[Any, Callable[[Call], Any]] = {
    nn.Linear: linear,
    nn.Conv2d: conv,
    nn.ReLU: relu,
    nn.LeakyReLU: leaky,
    nn.ReLU6: relu6,
    torch.clamp: clamp,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    nn.MaxPool2d: max_pool,
    nn.AvgPool2d: average_pool,
    nn.AdaptiveAvgPool2d: global_pool,
    nn.Flatten: flatten,
    nn.Identity: unchanged,
    nn.Dropout: dropout,
    torch.add: add,
    torch.sub: sub,
    torch.mul: mul,
    torch.div: div,
    torch.neg: neg,
    torch.cat: cat,
    torch.reshape: reshape,
    torch.permute: permute,
    torch.transpose: transpose,
    torch.squeeze: squeeze,
    torch.unsqueeze: unsqueeze,
    F.pad: pad,
    "size": size,
}
"""by type of module, or by function"""

ALIASES = frozenset(
    {unchanged, dropout, flatten, reshape, permute, transpose, squeeze, unsqueeze, size}
)
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
        "max",
        "min",
        "mode",
        "negative_slope",
        "output_size",
        "p",
        "padding",
        "return_indices",
        "start_dim",
        "stride",
        "training",
        "value",
    }
)
"""names of arguments that operations read; with any other, they would mean something else"""

SAME: Mapping[Any, Any] = {
    operator.add: torch.add,
    operator.iadd: torch.add,
    "add": torch.add,
    "add_": torch.add,
    operator.sub: torch.sub,
    operator.isub: torch.sub,
    "sub": torch.sub,
    operator.mul: torch.mul,
    operator.imul: torch.mul,
    "mul": torch.mul,
    operator.truediv: torch.div,
    "div": torch.div,
    operator.neg: torch.neg,
    "neg": torch.neg,
    torch.concat: torch.cat,
    torch.flatten: nn.Flatten,
    "flatten": nn.Flatten,
    "view": torch.reshape,
    "reshape": torch.reshape,
    torch.relu: nn.ReLU,
    F.relu: nn.ReLU,
    F.linear: nn.Linear,
    F.conv2d: nn.Conv2d,
    "relu": nn.ReLU,
    "relu_": nn.ReLU,
    F.leaky_relu: nn.LeakyReLU,
    F.relu6: nn.ReLU6,
    F.max_pool2d: nn.MaxPool2d,
    torch.max_pool2d: nn.MaxPool2d,
    F.avg_pool2d: nn.AvgPool2d,
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    "contiguous": nn.Identity,
    F.dropout: nn.Dropout,
    "clamp": torch.clamp,
    torch.clip: torch.clamp,
    "permute": torch.permute,
    "transpose": torch.transpose,
    "squeeze": torch.squeeze,
    "unsqueeze": torch.unsqueeze,
    "size": "size",
}
"""other names of the same operation: x + y, torch.add and x.add_ are one"""
