"""Networks in ONNX files: each is an architecture that has its weights."""

import copy
import functools
import hashlib
import math
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bench.data.checkpoint import require_file
from relu.errors import InputError
from relu.network.architecture import Architecture
from relu.network.layers import Shape
from relu.network.onnx import OnnxNetwork, read_onnx

ONNX = "onnx"  # what such an architecture is called
SUFFIX = ".onnx"
CHANNELS_LAST = (0, 2, 3, 1)


def is_onnx(path: Path) -> bool:
    """Whether a file of this name is an ONNX file."""
    return path.suffix.lower() == SUFFIX


def read_onnx_file(path: Path) -> bytes:
    """The file's content. Raises InputError where there is none."""
    require_file(path)
    return path.read_bytes()


@functools.lru_cache(maxsize=4)
def onnx_architecture(content: bytes) -> Architecture:
    """The network in a file of this content, with its weights. Raises InputError.

    It takes images of its own shape, images whose channels it has last, and any images of as many
    pixels where its inputs are rows or columns: channels first, row by row.
    """
    net = read_onnx(content)
    return Architecture(
        name=ONNX,
        summary="the network of an ONNX file",
        make=lambda shape, classes: _adapted(net, shape, classes),
        initialised=True,
        code=hashlib.sha256(content).hexdigest()[:16],
    )


class Reshaped(nn.Module):
    """A network for images that come in another shape than its inputs have."""

    def __init__(self, net: nn.Module, shape: Shape, *, channels_last: bool) -> None:
        super().__init__()
        self.net = net
        self.shape = shape
        self.channels_last = channels_last

    def forward(self, x: Any) -> Any:
        """Of images, or of the symbol that stands for them where the network is traced."""
        if self.channels_last:
            return self.net(x.permute(*CHANNELS_LAST))
        return self.net(x.reshape(-1, *self.shape))


def _adapted(net: OnnxNetwork, shape: Shape, classes: int) -> nn.Module:
    if net.classes != classes:
        raise InputError(f"the network has {net.classes} outputs, the data {classes} classes")
    return _fitted(copy.deepcopy(net), net.shape, shape)


def _fitted(net: nn.Module, taken: Shape, shape: Shape) -> nn.Module:
    """A network that takes inputs of one shape, for images of another."""
    last = (*shape[1:], shape[0])
    rows = sum(side > 1 for side in taken) <= 1 and math.prod(taken) == math.prod(shape)
    if taken != shape and not rows and taken != last:
        raise InputError(f"the network takes inputs of shape {taken}, the data have {shape}")
    return net if taken == shape else Reshaped(net, taken, channels_last=not rows)


def as_taken(x: Tensor, taken: Shape) -> Tensor:
    """Images as a file whose inputs have the shape `taken` is given them. Raises InputError."""
    images: Tensor = _fitted(nn.Identity(), taken, tuple(x.shape[1:]))(x)
    return images
