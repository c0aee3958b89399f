"""Layers put together of simple maps between parts of their inputs and parts of their units.

    z = bias + sum over terms of  W_t g[source_t], added to z[target_t]

which is what residual connections, concatenations, poolings and grouped convolutions need: an
addition is two terms on one target, a concatenation two terms on two targets, a difference of two
entries two terms with weights 1 and -1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from relu.network.convolution import Pair, channels_first, channels_last, convolved
from relu.network.layers import Conv, Dense, EntryMap, Shape, one_hot
from relu.network.maxima import Maxima
from relu.network.selection import Part, Parts


@dataclass(frozen=True, eq=False)
class Scale:
    """z = weight * g + bias, entry by entry."""

    weight: Float[Tensor, " size"]
    bias: Float[Tensor, " size"]

    @property
    def size(self) -> int:
        return len(self.weight)

    @property
    def terms(self) -> int:
        return 2

    def forward(self, g: Float[Tensor, "m size"]) -> Float[Tensor, "m size"]:
        return torch.addcmul(self.bias, g, self.weight)

    def linear(self, g: Float[Tensor, "m size"]) -> Float[Tensor, "m size"]:
        return g * self.weight

    def transposed(self, r: Float[Tensor, "m size"]) -> Float[Tensor, "m size"]:
        return r * self.weight


@dataclass(frozen=True, eq=False)
class GeneralConv:
    """A convolution with any kernel, stride, padding, dilation and groups, between flat vectors."""

    weight: Float[Tensor, "c_out c_in kh kw"]
    bias: Float[Tensor, " c_out"]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    shape: tuple[int, int, int]

    @property
    def out_shape(self) -> tuple[int, int, int]:
        sides = zip(
            self.shape[1:],
            self.weight.shape[2:],
            self.stride,
            self.padding,
            self.dilation,
            strict=True,
        )
        height, width = (
            (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for side, kernel, stride, padding, dilation in sides
        )
        return len(self.weight), height, width

    @property
    def size(self) -> int:
        channels, height, width = self.out_shape
        return channels * height * width

    @property
    def terms(self) -> int:
        """Of its own sums and its transpose's."""
        return max(self.weight[0].numel(), self.weight[:, 0].numel())

    def forward(self, g: Float[Tensor, "m n_in"]) -> Float[Tensor, "m n_out"]:
        return convolved(g, self.shape, self.weight, self.bias, *self._options)

    def linear(self, g: Float[Tensor, "m n_in"]) -> Float[Tensor, "m n_out"]:
        return convolved(g, self.shape, self.weight, None, *self._options)

    @property
    def _options(self) -> tuple[Pair, Pair, Pair, int]:
        return self.stride, self.padding, self.dilation, self.groups

    def transposed(self, r: Float[Tensor, "m n_out"]) -> Float[Tensor, "m n_in"]:
        images = channels_first(r, self.out_shape)
        sides = zip(
            self.shape[1:],
            self.out_shape[1:],
            self.weight.shape[2:],
            self.stride,
            self.padding,
            self.dilation,
            strict=True,
        )
        unseen = [
            side - ((out - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1)
            for side, out, kernel, stride, padding, dilation in sides
        ]
        rows: Tensor = F.conv_transpose2d(
            images,
            self.weight,
            None,
            self.stride,
            self.padding,
            [min(more, stride - 1) for more, stride in zip(unseen, self.stride, strict=True)],
            self.groups,
            self.dilation,
        )
        height, width = rows.shape[2:]
        rows = F.pad(rows, [0, self.shape[2] - width, 0, self.shape[1] - height])
        return channels_last(rows)


AffineMap = Dense | Conv | GeneralConv | Scale


@dataclass(frozen=True, eq=False)
class Term:
    """A map from a part of the inputs to a part of the units, whose entries do not repeat."""

    source: Part
    map: AffineMap
    target: Part


@dataclass(frozen=True, eq=False)
class Blocks:
    """A sum of maps between parts. inputs, size: how many entries it takes and gives.

    maxima: which units are maxima of entries before.
    """

    parts: Sequence[Term]
    inputs: int
    size: int
    leak: Float[Tensor, " n_out"] | None
    shape: Shape | None = None
    maxima: Sequence[Maxima] = ()

    @property
    def parameters(self) -> Sequence[tuple[Tensor, Tensor]]:
        return [(part.map.weight, part.map.bias) for part in self.parts]

    @property
    def like(self) -> Tensor:
        return self.parts[0].map.weight

    @property
    def terms(self) -> int:
        """The longest sum that the layer or its transpose forms, or that runs over its units."""
        return sum(term.map.terms for term in self.parts) + max(self.size, self.inputs) + 2

    @cached_property
    def _sources(self) -> Parts:
        return Parts([term.source for term in self.parts], self.inputs, self.like.device)

    @cached_property
    def _targets(self) -> Parts:
        return Parts([term.target for term in self.parts], self.size, self.like.device)

    def forward(self, g: Float[Tensor, "m n_in"]) -> Float[Tensor, "m n_out"]:
        parts = zip(self.parts, self._sources.taken(g), strict=True)
        return self._targets.total([term.map.forward(part) for term, part in parts])

    def linear(self, g: Float[Tensor, "m n_in"]) -> Float[Tensor, "m n_out"]:
        """W g, without the bias."""
        parts = zip(self.parts, self._sources.taken(g), strict=True)
        return self._targets.total([term.map.linear(part) for term, part in parts])

    def transposed(self, r: Float[Tensor, "m n_out"]) -> Float[Tensor, "m n_in"]:
        """W^T r: what the rows r on this layer's outputs are on its inputs."""
        parts = zip(self.parts, self._targets.taken(r), strict=True)
        return self._sources.total([term.map.transposed(part) for term, part in parts])

    def rows(self, units: Int[Tensor, " m"]) -> Float[Tensor, "m n_in"]:
        """The rows of W that belong to these units."""
        return self.transposed(one_hot(units, self))

    def absolute(self) -> "Blocks":
        """The layer with |W| and |b|; a little more where terms overlap."""
        return self.mapped(torch.abs, torch.abs)

    def mapped(self, weights: EntryMap, biases: EntryMap) -> "Blocks":
        """The layer with functions of its weights, and of its biases, in their place."""
        terms = [
            replace(
                term,
                map=replace(term.map, weight=weights(term.map.weight), bias=biases(term.map.bias)),
            )
            for term in self.parts
        ]
        layer = replace(self, parts=terms)
        # the parts are the same: what is known of them need not be found again
        vars(layer).update(_sources=self._sources, _targets=self._targets)
        return layer
