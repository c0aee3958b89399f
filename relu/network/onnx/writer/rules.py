"""Which rule writes which operation of torch."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from relu.network.batch_norm import FixedBatchNorm
from relu.network.onnx.network import Symbol
from relu.network.onnx.writer.affine import batch_norm, conv, linear
from relu.network.onnx.writer.call import Call
from relu.network.onnx.writer.elementwise import clamp, leaky, negative, of_two, relu, relu6
from relu.network.onnx.writer.reshaping import (
    cat,
    dropout,
    pad,
    permute,
    reshape,
    transpose,
    unchanged,
)
from relu.network.onnx.writer.windows import average_pool, global_pool, max_pool

RULES: Mapping[Any, Callable[[Call], Symbol]] = {
    nn.Linear: linear,
    nn.Conv2d: conv,
    nn.ReLU: relu,
    nn.LeakyReLU: leaky,
    nn.ReLU6: relu6,
    torch.clamp: clamp,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    FixedBatchNorm: batch_norm,
    nn.MaxPool2d: max_pool,
    nn.AvgPool2d: average_pool,
    nn.AdaptiveAvgPool2d: global_pool,
    nn.Flatten: reshape,
    nn.Identity: unchanged,
    nn.Dropout: dropout,
    torch.add: of_two("Add"),
    torch.sub: of_two("Sub"),
    torch.mul: of_two("Mul"),
    torch.div: of_two("Div"),
    torch.neg: negative,
    torch.cat: cat,
    torch.reshape: reshape,
    torch.squeeze: reshape,
    torch.unsqueeze: reshape,
    torch.permute: permute,
    torch.transpose: transpose,
    F.pad: pad,
}
"""as relu/network/tracing.py names operations: by type of module, or by function"""
