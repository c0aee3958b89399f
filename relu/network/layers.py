"""A network as the theory sees it: affine layers, with an activation after each but the last.

The activation of a unit is z where z > 0, and leak z elsewhere: a ReLU (leak 0), a leaky one, or,
with leak 1, nothing at all. Units of the last kind carry what a later layer needs past the layers
between: with them, a chain of layers is any directed graph of affine maps and ReLUs.

Everything between two layers is a flat vector. Images are flattened with their channels last, the
layout on which convolutions are fastest: `to_vectors` and `to_images` convert at the input.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from relu.network.convolution import channels_first, channels_last, conv_transposed, convolved

Shape = tuple[int, ...]

EntryMap = Callable[[Tensor], Tensor]
"""a function of a tensor, entry by entry"""


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
    def parameters(self) -> Sequence[tuple[Tensor, Tensor]]:
        """Weight and bias of each map that it is the sum of."""
        ...

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

    def mapped(self, weights: EntryMap, biases: EntryMap) -> "Layer":
        """The layer with functions of its weights, and of its biases, in their place."""
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
    def parameters(self) -> Sequence[tuple[Tensor, Tensor]]:
        return ((self.weight, self.bias),)

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
        return self.mapped(torch.abs, torch.abs)

    def mapped(self, weights: EntryMap, biases: EntryMap) -> "Dense":
        """The layer with functions of its weights, and of its biases, in their place."""
        return replace(self, weight=weights(self.weight), bias=biases(self.bias))


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
    def parameters(self) -> Sequence[tuple[Tensor, Tensor]]:
        return ((self.weight, self.bias),)

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
        return convolved(g, self.shape, self.weight, self.bias, self.stride, self.padding)

    def linear(self, g: Float[Tensor, "m n_in"]) -> Float[Tensor, "m n_out"]:
        """W g, without the bias."""
        return convolved(g, self.shape, self.weight, None, self.stride, self.padding)

    def transposed(self, r: Float[Tensor, "m n_out"]) -> Float[Tensor, "m n_in"]:
        """W^T r: what the rows r on this layer's outputs are on its inputs."""
        images = channels_first(r, self.out_shape)
        rows = conv_transposed(images, self.weight, self.stride, self.padding, self.shape[1:])
        return channels_last(rows)

    def rows(self, units: Int[Tensor, " m"]) -> Float[Tensor, "m n_in"]:
        """The rows of W that belong to these units."""
        return self.transposed(one_hot(units, self))

    def absolute(self) -> "Conv":
        """The layer with |W| and |b|."""
        return self.mapped(torch.abs, torch.abs)

    def mapped(self, weights: EntryMap, biases: EntryMap) -> "Conv":
        """The layer with functions of its weights, and of its biases, in their place."""
        return replace(self, weight=weights(self.weight), bias=biases(self.bias))


def one_hot(units: Int[Tensor, " m"], layer: Layer) -> Float[Tensor, "m n_out"]:
    """A row for each of these units of the layer, which is 1 there."""
    rows = torch.zeros(len(units), layer.size, dtype=layer.like.dtype, device=layer.like.device)
    return rows.scatter_(1, units.unsqueeze(1), 1.0)


def matrix(layer: Layer) -> Float[Tensor, "n_out n_in"]:
    """W itself: of a layer with few units, like the last."""
    if isinstance(layer, Dense):
        return layer.weight
    return layer.rows(torch.arange(layer.size, device=layer.like.device))


def paths(layer: Layer) -> Layer:
    """The layer with 1 (or more, where maps overlap) wherever W is not 0, without a bias."""
    return layer.mapped(lambda weight: (weight != 0).to(weight.dtype), torch.zeros_like)


def without_bias(layer: Layer) -> Layer:
    """The layer with b = 0."""
    return layer.mapped(lambda weight: weight, torch.zeros_like)


def is_finite(layer: Layer) -> bool:
    """Whether no weight is infinite or NaN."""
    every = [tensor for pair in layer.parameters for tensor in pair]
    return all(bool(tensor.isfinite().all()) for tensor in every)


def largest_row(layer: Layer) -> Float[Tensor, ""]:
    """The largest sum of the absolute values of a row of W; where maps add up, at least that."""
    rows = [weight.abs().view(len(weight), -1).sum(1).amax() for weight, _ in layer.parameters]
    return torch.stack(rows).sum()


def largest_bias(layer: Layer) -> Float[Tensor, ""]:
    """The largest |b|; where maps add up, at least that."""
    return torch.stack([bias.abs().amax() for _, bias in layer.parameters]).sum()


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
