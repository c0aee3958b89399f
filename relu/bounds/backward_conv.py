"""The backward sweep for units of a convolution, which see no more than a window of the input."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.batching import at_once, groups
from relu.bounds.backward import Step, fall_and_rise
from relu.bounds.ball import Perturbations
from relu.bounds.relaxation import LinearRelaxation
from relu.network.layers import Layer
from relu.regions.receptive_field import ReceptiveFields, receptive_fields_of


def all_windows(
    layers: Sequence[Layer], lines: Sequence[LinearRelaxation], deltas: Perturbations, top: int
) -> tuple[Float[Tensor, "n size"], Float[Tensor, "n size"]]:
    """Fall and rise of every unit of a convolution `top`.

    Position by position, where the rows of many inputs are one matrix product.
    """
    windows = receptive_fields_of(layers, top)
    empty = deltas.eps.new_zeros(0, layers[top].size)
    found = [[empty, empty]]
    for part in groups(len(deltas.eps), at_once(deltas.eps.device) // windows.kernels.numel()):
        cuts = _Cuts(windows, lines[:top], deltas, part)
        both = zip(*(cuts.position(p) for p in range(len(windows.pixels))), strict=True)
        found.append([torch.stack(values).permute(1, 0, 2).flatten(1) for values in both])
    falls, rises = zip(*found, strict=True)
    return torch.cat(falls), torch.cat(rises)


def some_windows(
    layers: Sequence[Layer],
    lines: Sequence[LinearRelaxation],
    deltas: Perturbations,
    top: int,
    which: Int[Tensor, " m"],
    unit: Int[Tensor, " m"],
) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Fall and rise of units of a convolution `top`, each of the input `which` (increasing)."""
    windows = receptive_fields_of(layers, top)
    found = [(deltas.eps[:0], deltas.eps[:0])]
    numbers = at_once(unit.device)
    size = windows.kernels.shape[1]
    done = 0
    for inputs in groups(len(deltas.eps), numbers // (len(windows.pixels) * size)):
        stop = int((which < inputs.stop).sum())
        if stop > done:
            cuts = _Cuts(windows, lines[:top], deltas, inputs)
            for part in groups(stop - done, numbers // size):
                some = slice(done + part.start, done + part.stop)
                found.append(cuts.units(which[some] - inputs.start, unit[some]))
        done = stop
    falls, rises = zip(*found, strict=True)
    return torch.cat(falls), torch.cat(rises)


@dataclass(frozen=True, eq=False)
class _Cuts:
    """What the positions of a convolution see of the lines below it and of the deltas.

    lines: of every layer below. Tables of positions x inputs x entries of a window.
    """

    windows: ReceptiveFields
    lines: Sequence[LinearRelaxation]
    deltas: Perturbations
    inputs: slice

    def _cut(self, values: Tensor, layer: int) -> Tensor:
        return self.windows.cut(values[self.inputs], layer).transpose(0, 1).contiguous()

    @cached_property
    def tables(self) -> list[LinearRelaxation]:
        """The lines, seen from every position."""

        def seen(layer: int, lines: LinearRelaxation) -> LinearRelaxation:
            return lines.mapped(lambda values: self._cut(values, layer))

        return [seen(layer, lines) for layer, lines in enumerate(self.lines, 1)]

    @cached_property
    def by_position(self) -> list[list[LinearRelaxation]]:
        return [table.unbind() for table in self.tables]

    def position(self, p: int) -> tuple[Tensor, Tensor]:
        """Fall and rise of all channels at one position."""
        pixels = self.windows.pixels[p]
        inside = (pixels >= 0).nonzero().squeeze(1)
        here = [lines[p] for lines in self.by_position]
        rows = self.windows.kernels if here else self.windows.kernels[:, inside]
        seen = self.deltas.at(self.inputs).seen(pixels[inside])
        whole = len(inside) == len(pixels)
        return fall_and_rise(rows, self._steps(here, None if whole else inside), seen)

    def units(
        self, which: Int[Tensor, " m"], unit: Int[Tensor, " m"]
    ) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
        """Fall and rise of some units, each of the input `which` of these inputs."""
        position, channel = self.windows.split(unit)
        place = position * len(self.deltas.eps[self.inputs]) + which
        rows = self.windows.kernels.index_select(0, channel).unsqueeze(1)
        inside = (self.windows.pixels >= 0).to(rows.dtype)[position].unsqueeze(1)
        here = [table.mapped(partial(_taken, place=place)) for table in self.tables]
        steps = self._steps(here, None)
        if steps:
            lines, transposed = steps[-1]
            steps[-1] = lines, lambda rows: transposed(rows) * inside
        else:
            rows = rows * inside
        fall, rise = fall_and_rise(rows, steps, self._seen_deltas(which, place, inside[:, 0]))
        return fall.squeeze(1), rise.squeeze(1)

    def _seen_deltas(
        self, which: Int[Tensor, " m"], place: Int[Tensor, " m"], inside: Tensor
    ) -> Perturbations:
        """The perturbations of what each unit sees; without a box, eps alone says it all."""
        up, down = (
            inside if self.deltas.even else _taken(self._cut(side, 0), place)
            for side in (self.deltas.up, self.deltas.down)
        )
        return replace(self.deltas, eps=self.deltas.eps[self.inputs][which], up=up, down=down)

    def _steps(self, here: Sequence[LinearRelaxation], inside: Tensor | None) -> list[Step]:
        return [(here[i], partial(self._below, i, inside)) for i in range(len(here) - 1, -1, -1)]

    def _below(self, layer: int, inside: Tensor | None, rows: Tensor) -> Tensor:
        """Rows on the outputs of a layer, as rows on its inputs: of the network, those inside."""
        flat = self.windows.transposed(rows.flatten(0, 1), layer)
        below: Tensor = flat.unflatten(0, rows.shape[:2])
        return below if layer or inside is None else below[..., inside]


def _taken(table: Float[Tensor, "positions n window"], place: Int[Tensor, " m"]) -> Tensor:
    """The windows at these places of the first two axes as one."""
    windows: Tensor = table.flatten(0, 1).index_select(0, place)
    return windows
