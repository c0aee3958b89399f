"""A network as the theory sees it: affine layers with a ReLU after each but the last.

Everything between two layers is a flat vector. Images are flattened with their channels last, the
layout on which convolutions are fastest: `to_vectors` and `to_images` convert at the input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Shape = tuple[int, ...]

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

    @property
    def terms(self) -> int:
        """The longest sum that the layer or its transpose forms, or that runs over its units."""
        return longest_sum(self.weight, self.size)

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

    @property
    def terms(self) -> int:
        """The longest sum that the layer or its transpose forms, or that runs over its units."""
        return longest_sum(self.weight, self.size)

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
        weight = self.weight.abs()
        bias = self.bias.abs()
        return Conv(weight, bias, self.stride, self.padding, self.shape)


Layer = Dense | Conv


def longest_sum(weight: Float[Tensor, "n_out n_in *kernel"], units: int) -> int:
    """The number of terms of the longest sum over a weight, its transpose, or the units."""
    return max(weight[0].numel(), weight[:, 0].numel(), units) + 2


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
    shifts = kernel // stride
    (m, _, h, w) = r.shape
    phases = weight.view(c_out, c_in, shifts, stride, shifts, stride).permute(0, 2, 4, 3, 5, 1)
    flat = r.permute(0, 2, 3, 1).reshape(-1, c_out) @ phases.reshape(c_out, -1)
    parts = flat.view(m, h, w, shifts, shifts, stride, stride, c_in)
    total = r.new_zeros(m, h + shifts - 1, stride, w + shifts - 1, stride, c_in)
    phased = total.transpose(2, 3)
    for i in range(shifts):
        for j in range(shifts):
            phased[:, i : i + h, j : j + w].add_(parts[:, :, :, i, j])
    height = total.shape[1] * stride
    width = total.shape[3] * stride
    images = total.view(m, height, width, c_in).permute(0, 3, 1, 2)
    unseen = [0, size[1] + padding - width, 0, size[0] + padding - height]
    images = F.pad(images, [max(0, count) for count in unseen]) if max(unseen) > 0 else images
    return images[:, :, padding : padding + size[0], padding : padding + size[1]]
