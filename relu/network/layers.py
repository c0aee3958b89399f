"""A network as the theory sees it: affine layers, with an activation after each but the last.

The activation of a unit is z where z > 0, and leak z elsewhere: a ReLU (leak 0), a leaky one, or,
with leak 1, nothing at all. Units of the last kind carry what a later layer needs past the layers
between: with them, a chain of layers is any directed graph of affine maps and ReLUs.

Everything between two layers is a flat vector. Images are flattened with their channels last, the
layout on which convolutions are fastest: `to_vectors` and `to_images` convert at the input.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Shape = tuple[int, ...]

SMALL_KERNEL = 64  # entries of a transposed kernel up to which a matrix product beats torch's own


@runtime_checkable
class Layer(Protocol):
    """An affine map z = W g + b, and the activation of its units.

    leak: of each unit, in [0, 1]; None: all are ReLUs. shape: of the images that it takes, as
    channels x height x width; None where it takes vectors.
    """

    @property
    def leak(self) -> Float[Tensor, " n_out"] | None: ...

    @property
    def shape(self) -> Shape | None: ...

    @property
    def like(self) -> Tensor:
        """A tensor of its precision, on its device."""
        ...

    @property
    def size(self) -> int:
        """Number of units."""
        ...

    @property
    def terms(self) -> int:
        """The longest sum that the layer or its transpose forms, or that runs over its units."""
        ...

    def forward(self, g: Float[Tensor, "m n_in"]) -> Float[Tensor, "m n_out"]: ...

    def linear(self, g: Float[Tensor, "m n_in"]) -> Float[Tensor, "m n_out"]:
        """W g, without the bias."""
        ...

    def transposed(self, r: Float[Tensor, "m n_out"]) -> Float[Tensor, "m n_in"]:
        """W^T r: what the rows r on this layer's outputs are on its inputs."""
        ...

    def rows(self, units: Int[Tensor, " m"]) -> Float[Tensor, "m n_in"]:
        """The rows of W that belong to these units."""
        ...

    def absolute(self) -> "Layer":
        """The layer with |W| and |b|."""
        ...

    def paths(self) -> "Layer":
        """The layer with 1 wherever W is not 0, without a bias."""
        ...

    def without_bias(self) -> "Layer": ...

    def largest_row(self) -> Float[Tensor, ""]:
        """The largest sum of the absolute values of a row of W."""
        ...

    def largest_bias(self) -> Float[Tensor, ""]:
        """The largest |b|."""
        ...

    def is_finite(self) -> bool:
        """Whether no weight is infinite or NaN."""
        ...


@dataclass(frozen=True, eq=False)
class Dense:
    """z = W g + b with a matrix W."""

    weight: Float[Tensor, "n_out n_in"]
    bias: Float[Tensor, " n_out"]
    leak: Float[Tensor, " n_out"] | None = None

    @property
    def shape(self) -> None:
        """It takes vectors."""
        return None

    @property
    def like(self) -> Tensor:
        return self.weight

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

    def rows(self, units: Int[Tensor, " m"]) -> Float[Tensor, "m n_in"]:
        """The rows of W that belong to these units."""
        return self.weight.index_select(0, units)

    def absolute(self) -> "Dense":
        """The layer with |W| and |b|."""
        return replace(self, weight=self.weight.abs(), bias=self.bias.abs())

    def paths(self) -> "Dense":
        """The layer with 1 wherever W is not 0, without a bias."""
        return replace(self.without_bias(), weight=(self.weight != 0).to(self.weight.dtype))

    def without_bias(self) -> "Dense":
        return replace(self, bias=torch.zeros_like(self.bias))

    def largest_row(self) -> Float[Tensor, ""]:
        """The largest sum of the absolute values of a row of W."""
        return self.weight.abs().flatten(1).sum(1).amax()

    def largest_bias(self) -> Float[Tensor, ""]:
        """The largest |b|."""
        return self.bias.abs().amax()

    def is_finite(self) -> bool:
        """Whether no weight is infinite or NaN."""
        return bool(self.weight.isfinite().all() and self.bias.isfinite().all())


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution with a square kernel, as a map between flat vectors."""

    weight: Float[Tensor, "c_out c_in k k"]
    bias: Float[Tensor, " c_out"]
    stride: int
    padding: int
    shape: tuple[int, int, int]
    """of one input: channels, height, width"""
    leak: Float[Tensor, " n_out"] | None = None

    @property
    def like(self) -> Tensor:
        return self.weight

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

    def rows(self, units: Int[Tensor, " m"]) -> Float[Tensor, "m n_in"]:
        """The rows of W that belong to these units."""
        return self.transposed(one_hot(units, self))

    def absolute(self) -> "Conv":
        """The layer with |W| and |b|."""
        return replace(self, weight=self.weight.abs(), bias=self.bias.abs())

    def paths(self) -> "Conv":
        """The layer with 1 wherever W is not 0, without a bias."""
        return replace(self.without_bias(), weight=(self.weight != 0).to(self.weight.dtype))

    def without_bias(self) -> "Conv":
        return replace(self, bias=torch.zeros_like(self.bias))

    def largest_row(self) -> Float[Tensor, ""]:
        """The largest sum of the absolute values of a row of W."""
        return self.weight.abs().flatten(1).sum(1).amax()

    def largest_bias(self) -> Float[Tensor, ""]:
        """The largest |b|."""
        return self.bias.abs().amax()

    def is_finite(self) -> bool:
        """Whether no weight is infinite or NaN."""
        return bool(self.weight.isfinite().all() and self.bias.isfinite().all())


def one_hot(units: Int[Tensor, " m"], layer: Layer) -> Float[Tensor, "m n_out"]:
    """A row for each of these units of the layer, which is 1 there."""
    rows = torch.zeros(len(units), layer.size, dtype=layer.like.dtype, device=layer.like.device)
    return rows.scatter_(1, units.unsqueeze(1), 1.0)


def matrix(layer: Layer) -> Float[Tensor, "n_out n_in"]:
    """W itself: of a layer with few units, like the last."""
    if isinstance(layer, Dense):
        return layer.weight
    return layer.rows(torch.arange(layer.size, device=layer.like.device))


def longest_sum(weight: Float[Tensor, "n_out n_in *kernel"], units: int) -> int:
    """The number of terms of the longest sum over a weight, its transpose, or the units."""
    return max(weight[0].numel(), weight[:, 0].numel(), units) + 2


def to_vectors(layers: Sequence[Layer], x: Float[Tensor, "n *shape"]) -> Float[Tensor, "n d"]:
    """Inputs as the layers take them."""
    return (x.movedim(1, -1) if layers[0].shape else x).flatten(1)


def to_images(
    layers: Sequence[Layer], vectors: Float[Tensor, "n d"], shape: Shape
) -> Float[Tensor, "n *shape"]:
    """The inverse of `to_vectors`."""
    if layers[0].shape:
        return channels_first(vectors, layers[0].shape)
    return vectors.view(-1, *shape)


def channels_first(vectors: Float[Tensor, "m size"], shape: Shape) -> Float[Tensor, "m c h w"]:
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
