"""A network as the theory sees it: affine layers with a ReLU after each but the last.

Everything between two layers is a flat vector. Images are flattened with their channels last, the
layout on which convolutions are fastest: `to_vectors` and `to_images` convert at the input.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from relu.names import InputError
from relu.networks import Shape

SMALL_KERNEL = 64  # entries of a transposed kernel up to which a matrix product beats torch's own


@dataclass(frozen=True, eq=False)
class Dense:
    """z = W g + b."""

    weight: Float[Tensor, "n_out n_in"]
    bias: Float[Tensor, " n_out"]

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.weight)

    def forward(self, g: Float[Tensor, "m n_in"]) -> Float[Tensor, "m n_out"]:
        return F.linear(g, self.weight, self.bias)

    def linear(self, g: Float[Tensor, "m n_in"]) -> Float[Tensor, "m n_out"]:
        """W g, without the bias."""
        return F.linear(g, self.weight)

    def transposed(self, r: Float[Tensor, "m n_out"]) -> Float[Tensor, "m n_in"]:
        """W^T r: what the rows r on this layer's outputs are on its inputs."""
        return r @ self.weight

    def absolute(self) -> "Dense":
        """The layer with |W| and |b|."""
        return Dense(self.weight.abs(), self.bias.abs())


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution with a square kernel, as a map between flat vectors."""

    weight: Float[Tensor, "c_out c_in k k"]
    bias: Float[Tensor, " c_out"]
    stride: int
    padding: int
    shape: tuple[int, int, int]
    """of one input: channels, height, width"""

    @cached_property
    def out_shape(self) -> tuple[int, int, int]:
        kernel = self.weight.shape[2]
        height, width = (
            (side + 2 * self.padding - kernel) // self.stride + 1 for side in self.shape[1:]
        )
        return self.weight.shape[0], height, width

    @property
    def size(self) -> int:
        """Number of units."""
        channels, height, width = self.out_shape
        return channels * height * width

    def forward(self, g: Float[Tensor, "m n_in"]) -> Float[Tensor, "m n_out"]:
        return self._conv(g, self.bias)

    def linear(self, g: Float[Tensor, "m n_in"]) -> Float[Tensor, "m n_out"]:
        """W g, without the bias."""
        return self._conv(g, None)

    def _conv(self, g: Tensor, bias: Tensor | None) -> Tensor:
        images = channels_first(g, self.shape)
        z: Tensor = F.conv2d(images, self.weight, bias, stride=self.stride, padding=self.padding)
        return z.permute(0, 2, 3, 1).flatten(1)

    def transposed(self, r: Float[Tensor, "m n_out"]) -> Float[Tensor, "m n_in"]:
        """W^T r: what the rows r on this layer's outputs are on its inputs."""
        images = channels_first(r, self.out_shape)
        rows = conv_transposed(images, self.weight, self.stride, self.padding, self.shape[1:])
        return rows.permute(0, 2, 3, 1).flatten(1)

    def absolute(self) -> "Conv":
        """The layer with |W| and |b|."""
        weight, bias = self.weight.abs(), self.bias.abs()
        return Conv(weight, bias, self.stride, self.padding, self.shape)


Layer = Dense | Conv


def to_vectors(layers: Sequence[Layer], x: Float[Tensor, "n *shape"]) -> Float[Tensor, "n d"]:
    """Inputs as the layers take them."""
    return (x.movedim(1, -1) if isinstance(layers[0], Conv) else x).flatten(1)


def to_images(
    layers: Sequence[Layer], vectors: Float[Tensor, "n d"], shape: Shape
) -> Float[Tensor, "n *shape"]:
    """The inverse of `to_vectors`."""
    if isinstance(layers[0], Conv):
        return channels_first(vectors, layers[0].shape)
    return vectors.view(-1, *shape)


def channels_first(
    vectors: Float[Tensor, "m size"], shape: tuple[int, int, int]
) -> Float[Tensor, "m c h w"]:
    """Vectors of channels x height x width entries as images, in torch's channels_last layout."""
    channels, height, width = shape
    return vectors.view(len(vectors), height, width, channels).permute(0, 3, 1, 2)


def conv_transposed(
    r: Float[Tensor, "m c_out h w"],
    weight: Float[Tensor, "c_out c_in k k"],
    stride: int,
    padding: int,
    size: tuple[int, int],
) -> Float[Tensor, "m c_in h2 w2"]:
    """The transpose of the convolution of images of that size (height, width).

    With few entries per kernel, all phases of the stride are one matrix product, and what is left
    are a few shifted sums: three to four times faster on a CPU than torch's own.
    """
    c_out, c_in, kernel, _ = weight.shape
    if c_in * kernel * kernel > SMALL_KERNEL or kernel % stride:
        least = [(side - 1) * stride + kernel - 2 * padding for side in r.shape[2:]]
        more = [side - reached for side, reached in zip(size, least, strict=True)]
        weight = weight.contiguous(memory_format=torch.channels_last)
        r = r.contiguous(memory_format=torch.channels_last)
        return F.conv_transpose2d(r, weight, None, stride, padding, more)
    shifts, (m, _, h, w) = kernel // stride, r.shape
    phases = weight.view(c_out, c_in, shifts, stride, shifts, stride).permute(0, 2, 4, 3, 5, 1)
    flat = r.permute(0, 2, 3, 1).reshape(-1, c_out) @ phases.reshape(c_out, -1)
    parts = flat.view(m, h, w, shifts, shifts, stride, stride, c_in)
    total = r.new_zeros(m, h + shifts - 1, stride, w + shifts - 1, stride, c_in)
    phased = total.transpose(2, 3)
    for i in range(shifts):
        for j in range(shifts):
            phased[:, i : i + h, j : j + w].add_(parts[:, :, :, i, j])
    height, width = total.shape[1] * stride, total.shape[3] * stride
    images = total.view(m, height, width, c_in).permute(0, 3, 1, 2)
    unseen = [0, size[1] + padding - width, 0, size[0] + padding - height]
    images = F.pad(images, [max(0, count) for count in unseen]) if max(unseen) > 0 else images
    return images[:, :, padding : padding + size[0], padding : padding + size[1]]


def read_layers(net: nn.Module, shape: Shape) -> tuple[Layer, ...]:
    """The affine layers of a network whose inputs have `shape`; they share its parameters.

    A network is a Sequential of Flatten, Linear, Conv2d (square kernel, no groups, no dilation,
    zero padding) and ReLU, with one ReLU after each affine layer but the last, which is Linear.
    Raises InputError with the name of the first layer that does not fit.
    """
    layers: list[Layer] = []
    for what, module in _affine(net):
        layers.append(_layer(what, module, shape, layers[-1] if layers else None))
        shape = layers[-1].out_shape if isinstance(layers[-1], Conv) else (layers[-1].size,)
    return tuple(layers)


def refusal(net: nn.Module) -> str | None:
    """Why `read_layers` refuses the network whatever its inputs, or None."""
    try:
        _affine(net)
    except InputError as error:
        return str(error)
    return None


def _affine(net: nn.Module) -> list[tuple[str, nn.Linear | nn.Conv2d]]:
    """The Linear and Conv2d layers, checked, with what to call each in a message."""
    found: list[tuple[str, nn.Linear | nn.Conv2d]] = []
    rectified = True
    for name, module in _leaves(net):
        what = f"layer {name} ({type(module).__name__})"
        kind = type(module)  # a subclass may compute anything
        if kind is nn.ReLU:
            if rectified:
                raise InputError(f"{what} must follow a Linear or Conv2d layer")
            rectified = True
        elif kind in (nn.Linear, nn.Conv2d) and isinstance(module, nn.Linear | nn.Conv2d):
            if not rectified:
                raise InputError(f"{what} must follow a ReLU")
            if isinstance(module, nn.Conv2d):
                _require_plain(what, module)
            found.append((what, module))
            rectified = False
        elif kind not in (nn.Flatten, nn.Identity):
            raise InputError(f"{what} is no ReLU, Linear, Conv2d or Flatten")
    if rectified or not isinstance(found[-1][1], nn.Linear) or found[-1][1].out_features < 2:
        raise InputError("the last layer must be Linear, with two classes or more")
    return found


def _leaves(net: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    if type(net) is not nn.Sequential:
        return [(prefix or "0", net)]
    leaves = []
    for i, child in enumerate(net):  # named_children() leaves out a module's second use
        leaves += _leaves(child, f"{prefix}.{i}" if prefix else str(i))
    return leaves


def _require_plain(what: str, module: nn.Conv2d) -> None:
    for name in ("kernel_size", "stride", "padding"):
        value = getattr(module, name)
        if isinstance(value, str) or len(set(value)) > 1:
            raise InputError(f"{what}: its {name} must be one number, got {value}")
    plain = {"dilation": (1, 1), "groups": 1, "padding_mode": "zeros"}
    for name, expected in plain.items():
        if getattr(module, name) != expected:
            raise InputError(f"{what}: its {name} must be {expected}, got {getattr(module, name)}")


def _layer(what: str, module: nn.Linear | nn.Conv2d, shape: Shape, below: Layer | None) -> Layer:
    weight = module.weight
    bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias
    if isinstance(module, nn.Linear):
        if math.prod(shape) != module.in_features:
            raise InputError(f"{what} takes {module.in_features} numbers, got shape {shape}")
        if isinstance(below, Conv):
            weight = weight.unflatten(1, below.out_shape).permute(0, 2, 3, 1).flatten(1)
        return Dense(weight, bias)
    if len(shape) != 3:
        raise InputError(f"{what} needs images of channels x height x width, got shape {shape}")
    channels, height, width = shape
    if channels != module.in_channels:
        raise InputError(f"{what} takes {module.in_channels} channels, got shape {shape}")
    return Conv(weight, bias, module.stride[0], int(module.padding[0]), (channels, height, width))
