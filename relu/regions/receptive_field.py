"""What the units of a stack of convolutions see: one window of every layer below per position.

Row i of V^(l) for a convolution l is zero outside the window of unit i, so it is computed there:
for the second convolution of the MNIST network on 10 x 10 pixels instead of 28 x 28.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from relu.network.convolution import channels_first, conv_transposed
from relu.network.layers import Conv, Layer

SMALL_MATRIX = 2**17  # entries up to which a layer between two windows is used as a matrix


@dataclass(frozen=True)
class ReceptiveField:
    """Where the windows of one layer's inputs lie: position p starts at p * stride - padding."""

    size: int
    stride: int
    padding: int


@dataclass(frozen=True, eq=False)
class ReceptiveFields:
    """The windows of the units of the last of some convolutions, over the inputs of each."""

    layers: Sequence[Conv]

    @cached_property
    def _windows(self) -> list[ReceptiveField]:
        windows = []
        size = 1
        stride = 1
        padding = 0
        for layer in reversed(self.layers):
            size = (size - 1) * layer.stride + layer.weight.shape[2]
            padding = padding * layer.stride + layer.padding
            stride *= layer.stride
            windows.append(ReceptiveField(size, stride, padding))
        return windows[::-1]

    @property
    def kernels(self) -> Float[Tensor, "c_out s"]:
        """The last layer's weights, entry by entry of its windows."""
        return self.layers[-1].weight.permute(0, 2, 3, 1).flatten(1)

    @property
    def positions(self) -> tuple[int, int]:
        """Rows and columns of positions: the height and width of the last layer's outputs."""
        return self.layers[-1].out_shape[1:]

    def split(self, unit: Int[Tensor, " m"]) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
        """Position and channel of units of the last layer."""
        channels = len(self.kernels)
        return unit // channels, unit % channels

    def cut(self, g: Float[Tensor, "n size"], layer: int) -> Float[Tensor, "n p s"]:
        """What each position sees of the inputs g of a layer; zero outside the image."""
        channels, height, width = self.layers[layer].shape
        window = self._windows[layer]
        rows, columns = self.positions
        far = [
            max(0, (count - 1) * window.stride + window.size - window.padding - side)
            for count, side in ((rows, height), (columns, width))
        ]
        near = window.padding
        images = g.view(-1, height, width, channels)
        images = F.pad(images, [0, 0, near, far[1], near, far[0]])
        cut = images.unfold(1, window.size, window.stride).unfold(2, window.size, window.stride)
        cut = cut[:, :rows, :columns].permute(0, 1, 2, 4, 5, 3)
        return cut.reshape(len(g), rows * columns, -1)

    @cached_property
    def pixels(self) -> Int[Tensor, "p s"]:
        """Which entry of the network's input each entry of a window is; -1 outside the image."""
        channels, height, width = self.layers[0].shape
        weight = self.layers[0].weight
        numbers = torch.arange(1, channels * height * width + 1, device=weight.device)
        return self.cut(numbers.double().unsqueeze(0), 0)[0].long() - 1

    @cached_property
    def matrices(self) -> list[Tensor | None]:
        """Per layer below the last, its map from outputs' to inputs' windows; None if large."""
        return [self._matrix(layer) for layer in range(len(self.layers) - 1)]

    def _matrix(self, layer: int) -> Tensor | None:
        weight, window, above = self._step(layer)
        c_out, c_in = weight.shape[:2]
        size_out = c_out * above.size**2
        if size_out * c_in * window.size**2 > SMALL_MATRIX:
            return None
        eye = torch.eye(size_out, dtype=weight.dtype, device=weight.device)
        images = eye.view(size_out, above.size, above.size, c_out).permute(0, 3, 1, 2)
        rows = F.conv_transpose2d(images, weight, stride=self.layers[layer].stride)
        return rows.permute(0, 2, 3, 1).flatten(1)

    def transposed(self, r: Float[Tensor, "m s_out"], layer: int) -> Float[Tensor, "m s_in"]:
        """Rows on the outputs' windows of a layer below the last, as rows on its inputs'."""
        if (matrix := self.matrices[layer]) is not None:
            return r @ matrix
        weight, window, above = self._step(layer)
        images = channels_first(r, (len(weight), above.size, above.size))
        rows = conv_transposed(
            images, weight, self.layers[layer].stride, 0, (window.size, window.size)
        )
        return rows.permute(0, 2, 3, 1).flatten(1)

    def linear(self, g: Float[Tensor, "m s_in"], layer: int) -> Float[Tensor, "m s_out"]:
        """A layer below the last, without bias, from its inputs' windows to its outputs'."""
        if (matrix := self.matrices[layer]) is not None:
            return g @ matrix.T
        weight, window, _ = self._step(layer)
        images = channels_first(g, (weight.shape[1], window.size, window.size))
        z: Tensor = F.conv2d(images, weight, stride=self.layers[layer].stride)
        return z.permute(0, 2, 3, 1).flatten(1)

    def gates(
        self,
        active: Sequence[Float[Tensor, "n _"]],
        which: Int[Tensor, " m"],
        position: Int[Tensor, " m"],
    ) -> list[Float[Tensor, "m _"]]:
        """The activity of each layer below the last, seen by some inputs from some positions."""
        return [self.cut(a, i)[which, position] for i, a in enumerate(active, 1)]

    def rows(
        self,
        gates: Sequence[Float[Tensor, "m _"]],
        channel: Int[Tensor, " m"],
        position: Int[Tensor, " m"],
    ) -> Float[Tensor, "m s"]:
        """V_i of one unit of the last layer per gate, on its window of the network's input."""
        rows = self.kernels[channel]
        for i in range(len(gates) - 1, -1, -1):
            rows = self.transposed(rows * gates[i], i)
        return rows * (self.pixels >= 0)[position]

    def jvp(
        self, gates: Sequence[Float[Tensor, "m _"]], direction: Float[Tensor, "m s"]
    ) -> Float[Tensor, "m s2"]:
        """Windows of the network's input, moved through the frozen layers below the last."""
        for i, gate in enumerate(gates):
            direction = self.linear(direction, i) * gate
        return direction

    def spread(
        self, rows: Float[Tensor, "m s"], position: Int[Tensor, " m"]
    ) -> Float[Tensor, "m d"]:
        """Rows on windows of the network's input as rows on all of it."""
        channels, height, width = self.layers[0].shape
        wide = rows.new_zeros(len(rows), channels * height * width + 1)
        return wide.scatter_(1, self.pixels[position] + 1, rows)[:, 1:]

    def _step(self, layer: int) -> tuple[Tensor, ReceptiveField, ReceptiveField]:
        return self.layers[layer].weight, self._windows[layer], self._windows[layer + 1]


def receptive_fields_of(layers: Sequence[Layer], top: int) -> ReceptiveFields:
    """The windows of the units of layer `top`, which like all below it is a convolution."""
    return ReceptiveFields([layer for layer in layers[: top + 1] if isinstance(layer, Conv)])
