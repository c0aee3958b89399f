"""The network around one input, reduced to the units that may switch.

Units that cannot switch are substituted away, but maxima that are best bounded by their entries'
bounds. What is left are, for each unit u that is kept, its pre-activation as a form of the
perturbation delta and of the outputs a of units below,

    z_u = M_u (delta, a) + b_u,        low_u <= z_u <= high_u,        a_u = activation(z_u),

and the logits as such forms. Rows are pushed back through the layers, so that no table is larger
than (units that may switch) x (widest layer). What holds of these forms holds of the network on
the ball, up to rounding: `unit` times their sizes.

Tables of this folder have a line for each unit and a column for each question.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.bounds.ball import Ball, Perturbations
from relu.bounds.coupling import Coupling
from relu.bounds.reduced.forms import Disk, Forms
from relu.network.activation import crossing
from relu.network.layers import Layer
from relu.rounding import UNDERFLOW, gamma

Bounds = Sequence[tuple[Tensor, Tensor]]
"""lower and upper bounds of each hidden layer's pre-activations, of one input"""


@dataclass(frozen=True, eq=False)
class ReducedNetwork:
    """Forms of the units that may switch, layer by layer, and of the logits.

    which: these units' numbers in their layers. low, high, leak: of all of them, N in a line;
    maxima: which of them are maxima that cannot switch. disks: of
    each layer, an l2 ball that its units' pre-activations lie in, where it cuts off much.
    total: what the absolute values of all terms of all layers add up to.
    Columns of forms are the d pixels, then the units of the layers below. unit: the relative
    rounding error of forms.
    """

    deltas: Perturbations
    which: tuple[Int[Tensor, " _"], ...]
    hidden: tuple[Forms, ...]
    logits: Forms
    low: Float[Tensor, " N"]
    high: Float[Tensor, " N"]
    leak: Float[Tensor, " N"]
    maxima: Bool[Tensor, " N"]
    disks: tuple[Disk | None, ...]
    total: float
    unit: float

    @property
    def d(self) -> int:
        """Number of pixels."""
        return self.deltas.up.shape[1]

    @property
    def columns(self) -> int:
        """Number of pixels and units."""
        return self.d + len(self.low)

    @cached_property
    def slices(self) -> list[slice]:
        """Where each layer's units stand among all."""
        slices = []
        start = 0
        for units in self.which:
            slices.append(slice(start, start + len(units)))
            start += len(units)
        return slices

    @cached_property
    def size(self) -> Float[Tensor, " N"]:
        """Of the forms of all units."""
        return torch.cat([self.low[:0], *(forms.size for forms in self.hidden)])

    def to(self, dtype: torch.dtype) -> "ReducedNetwork":
        """In another precision."""
        deltas = replace(
            self.deltas,
            eps=self.deltas.eps.to(dtype),
            up=self.deltas.up.to(dtype),
            down=self.deltas.down.to(dtype),
        )
        return replace(
            self,
            deltas=deltas,
            hidden=tuple(forms.to(dtype) for forms in self.hidden),
            logits=self.logits.to(dtype),
            low=self.low.to(dtype),
            high=self.high.to(dtype),
            leak=self.leak.to(dtype),
            disks=tuple(None if disk is None else disk.to(dtype) for disk in self.disks),
        )

    def below(self, k: int) -> "ReducedNetwork":
        """The layers below the k-th alone."""
        count = self.slices[k].start
        return replace(
            self,
            which=self.which[:k],
            hidden=self.hidden[:k],
            low=self.low[:count],
            high=self.high[:count],
            leak=self.leak[:count],
            maxima=self.maxima[:count],
            disks=self.disks[:k],
        )

    def margins(self, y: int, others: Int[Tensor, " k"]) -> Forms:
        """f_y - f_s of other classes s."""
        label = self.logits.at(torch.full_like(others, y))
        other = self.logits.at(others)
        return Forms(label.rows - other.rows, label.offset - other.offset, label.size + other.size)

    def units(self, units: Int[Tensor, " k"], signs: Float[Tensor, " k"]) -> Forms:
        """Pre-activations of units, by their numbers among all N, times signs."""
        rows = self.low.new_zeros(len(units), self.columns)
        offset = self.low.new_zeros(len(units))
        size = torch.zeros_like(offset)
        for part, forms in zip(self.slices, self.hidden, strict=True):
            here = ((units >= part.start) & (units < part.stop)).nonzero().squeeze(1)
            chosen = units[here] - part.start
            rows[here, : forms.rows.shape[1]] = forms.rows[chosen] * signs[here].unsqueeze(1)
            offset[here] = forms.offset[chosen] * signs[here]
            size[here] = forms.size[chosen]
        return Forms(rows, offset, size)


def reduced_network(
    layers: Sequence[Layer],
    ball: Ball,
    bounds: Bounds,
    level: Sequence[Bool[Tensor, " _"] | None] | None = None,
    couplings: Sequence[Coupling | None] | None = None,
) -> ReducedNetwork:
    """The network on the ball of one input, whose hidden units have these proven bounds.

    level: maxima in each layer that are to be kept though they cannot switch. couplings: of each
    layer's units, as a relaxation of the input has them.
    """
    reduction = _Reduction(layers, ball, bounds, level or [None] * len(bounds))
    hidden = [
        reduction.forms(k, units, reduction.sizes[k][units])
        for k, units in enumerate(reduction.which)
    ]
    top = len(layers) - 1
    every = torch.arange(layers[top].size, device=ball.center.device)
    nothing = ball.center[0, :0]

    def of_kept_units(values: Sequence[Tensor]) -> Tensor:
        chosen = zip(values, reduction.which, strict=True)
        return torch.cat([nothing, *(layer[units] for layer, units in chosen)])

    return ReducedNetwork(
        deltas=ball.deltas,
        which=tuple(reduction.which),
        hidden=tuple(hidden),
        logits=reduction.forms(top, every, reduction.sizes[top]),
        low=of_kept_units([low for low, _ in bounds]),
        high=of_kept_units([high for _, high in bounds]),
        leak=of_kept_units(reduction.leaks),
        maxima=of_kept_units(reduction.maxima).bool(),
        disks=tuple(
            None if coupling is None else Disk(coupling.center[0, units], coupling.radius[0])
            for coupling, units in zip(
                couplings or [None] * len(bounds), reduction.which, strict=True
            )
        ),
        total=reduction.total,
        unit=gamma(layers, ball.center.shape[1]),
    )


class _Reduction:
    """Which units may switch, slopes of the others, and sizes of all sums of terms."""

    def __init__(
        self,
        layers: Sequence[Layer],
        ball: Ball,
        bounds: Bounds,
        level: Sequence[Tensor | None],
    ) -> None:
        self.layers = layers
        self.center = ball.center
        self.which: list[Tensor] = []
        self.slopes: list[Tensor] = []
        self.leaks: list[Tensor] = []
        self.sizes: list[Tensor] = []
        self.maxima: list[Tensor] = []
        deltas = ball.deltas
        most = ball.center.abs() + deltas.up.maximum(deltas.down)
        pixels = float(most.sum())
        self.biases = [
            layer.forward(most.new_zeros(1, width))[0]
            for layer, width in zip(layers, self._widths, strict=True)
        ]
        for layer, (low, high), flat in zip(layers, bounds, level, strict=False):
            open_ = crossing(low, high, layer.leak)
            maxima = torch.zeros_like(open_) if flat is None else flat & ~open_
            kept = open_ | maxima
            leak = torch.zeros_like(low) if layer.leak is None else layer.leak
            size = layer.absolute().forward(most)[0].maximum(low.abs()).maximum(high.abs())
            size = size + UNDERFLOW
            on = ~(high <= 0) & ~open_
            slope = torch.where(on, torch.ones_like(low), leak)
            self.sizes.append(size)
            self.leaks.append(leak)
            self.slopes.append(slope.masked_fill(kept, 0.0))
            self.which.append(kept.nonzero().squeeze(1))
            self.maxima.append(maxima)
            largest = low.abs().maximum(high.abs())
            most = torch.where(kept, largest, slope * size).unsqueeze(0)
        self.sizes.append(layers[-1].absolute().forward(most)[0] + UNDERFLOW)
        self.total = 1 + pixels + sum(float(size.sum()) for size in self.sizes)

    @property
    def _widths(self) -> list[int]:
        """How many inputs each layer takes."""
        return [self.center.shape[1], *(layer.size for layer in self.layers[:-1])]

    def forms(self, k: int, units: Int[Tensor, " m"], size: Float[Tensor, " m"]) -> Forms:
        """Pre-activations of units of layer k, in delta and the outputs of units below."""
        rows = self.layers[k].rows(units)
        offset = self.biases[k][units]
        parts: list[Tensor] = []
        for j in range(k - 1, -1, -1):
            parts.insert(0, rows[:, self.which[j]])
            rows = rows * self.slopes[j]
            offset = offset + rows @ self.biases[j]
            rows = self.layers[j].transposed(rows)
        offset = offset + rows @ self.center[0]
        return Forms(torch.cat([rows, *parts], 1), offset, size)
