"""Matrices, and batch norm."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from relu.network.onnx.call import Call
from relu.network.onnx.network import Symbol, float32
from relu.network.onnx.operations.elementwise import operand
from relu.network.onnx.operations.reshaping import permuted, reshaped


def gemm(call: Call) -> Symbol:
    """Alpha x B + beta C, of vectors x."""
    value = call.value
    matrix = call.required(1)
    if call.integer("transA", 0):
        raise call.error("transposes its first input: that changes the axis of the inputs")
    matrix = matrix if call.integer("transB", 0) or matrix.ndim != 2 else matrix.T
    if matrix.ndim != 2 or value.shape != matrix.shape[1:]:
        raise call.error(
            f"has a matrix of shape {matrix.shape} for values of {('n', *value.shape)}"
        )
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    weight = call.parameter("weight", matrix)
    added = call.input(2) if beta else None
    if isinstance(added, Symbol):
        raise call.error("adds a value of the network, which is not supported")
    if added is None:
        z = call.apply(F.linear, value, weight)
        return z if alpha == 1 else call.apply(torch.mul, z, alpha)
    bias = _bias(call, added, len(matrix))
    if alpha == beta:
        z = call.apply(F.linear, value, weight, call.parameter("bias", bias))
    else:
        z = call.apply(torch.mul, call.apply(F.linear, value, weight), alpha / beta)
        z = call.apply(torch.add, z, operand(call, bias, z.shape))
    return z if beta == 1 else call.apply(torch.mul, z, beta)


def _bias(call: Call, constant: np.ndarray, size: int) -> np.ndarray:
    try:
        bias: np.ndarray = np.broadcast_to(constant, (1, size))[0]
        return bias
    except ValueError:
        raise call.error(f"has a bias of shape {constant.shape} for {size} numbers") from None


def matmul(call: Call) -> Symbol:
    """A value times a constant matrix, from either side."""
    a, b = call.inputs[:2]
    if isinstance(a, Symbol) and isinstance(b, np.ndarray):
        matrix, vector = _matrix(call, b[:, None] if b.ndim == 1 else b, a), b.ndim == 1
        z = along_axis(call, a, len(a.shape), matrix.T)
        return reshaped(call, z, z.shape[:-1]) if vector else z
    if isinstance(b, Symbol) and isinstance(a, np.ndarray):
        if a.ndim == 1 or len(b.shape) < 2:
            raise call.error("changes the axis of the inputs")
        return along_axis(call, b, len(b.shape) - 1, _matrix(call, a, b))
    raise call.error("needs one value of the network and one constant matrix")


def _matrix(call: Call, constant: np.ndarray, value: Symbol) -> np.ndarray:
    """Without axes of one entry before its two, of which a value has as many."""
    if constant.ndim > len(value.shape) + 1 or constant.shape[:-2] != (1,) * (constant.ndim - 2):
        raise call.error(f"has a constant of shape {constant.shape}, expected a matrix")
    return constant.reshape(constant.shape[-2:])


def along_axis(call: Call, value: Symbol, axis: int, matrix: np.ndarray) -> Symbol:
    """W z along an axis of the value, for each place on its other axes."""
    shape = value.shape
    size = shape[axis - 1]
    if matrix.shape[1] != size or not matrix.size:
        raise call.error(f"has a matrix of shape {matrix.shape} for an axis of {size}")
    others = [number for number in range(1, len(shape) + 1) if number != axis]
    after = (*shape[: axis - 1], len(matrix), *shape[axis:])
    rest = int(np.prod([shape[other - 1] for other in others]))
    if rest == 1:
        vector = reshaped(call, value, (size,))
        z = call.apply(F.linear, vector, call.parameter("weight", matrix))
        return reshaped(call, z, after)
    order = (0, axis, *others)
    columns = reshaped(call, permuted(call, value, order), (size, rest, 1))
    weight = call.parameter("weight", matrix[:, :, None, None])
    z = call.apply(F.conv2d, columns, weight)
    z = reshaped(call, z, (len(matrix), *(shape[other - 1] for other in others)))
    return permuted(call, z, tuple(order.index(number) for number in range(len(order))))


def batch_norm(call: Call) -> Symbol:
    """(z - mean) / sqrt(var + epsilon) * scale + bias, channel by channel."""
    value = call.value
    if call.integer("training_mode", 0) or not call.integer("spatial", 1):
        raise call.error("is in training mode, or not spatial, which is not supported")
    epsilon = call.number("epsilon", 1e-5)
    scale, bias, mean, variance = (float32(call.required(place)) for place in range(1, 5))
    if any(part.shape != value.shape[:1] for part in (scale, bias, mean, variance)):
        raise call.error(f"has statistics that do not fit values of {('n', *value.shape)}")
    if not bool((variance.double() + epsilon > 0).all()) or len(value.shape) > 3:
        raise call.error("has negative variances, or more than four axes")
    kind = nn.BatchNorm2d if len(value.shape) == 3 else nn.BatchNorm1d
    module = kind(len(scale), eps=epsilon).eval()
    module.load_state_dict(
        {
            "weight": scale,
            "bias": bias,
            "running_mean": mean,
            "running_var": variance,
            "num_batches_tracked": torch.zeros((), dtype=torch.long),
        }
    )
    return call.apply(call.builder.module(call.prefix, module), value)
