"""One backward sweep: how far a linear form of a layer's outputs can fall below a reference.

The reference is the ball's center, sent through the middles of all lines. With A^(l) the form's
coefficients on the outputs of hidden layer l, it falls at most by

    sum_l ( max(A^(l), 0) . below^(l) + max(-A^(l), 0) . above^(l) )  +  the fall of A^(0),

    A^(l-1) = (lower A^(l) where A^(l) > 0, upper A^(l) elsewhere) W^(l),

the generalisation of [WK18, Theorem 1] to lines that are not parallel [ZWCHD18, Theorem 3.2].
Where they are, rises and falls share their coefficients.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.batching import PaddedBatch, at_once, groups
from relu.bounds.ball import Perturbations
from relu.bounds.relaxation import LinearRelaxation
from relu.network.layers import Layer

Step = tuple[LinearRelaxation, Callable[[Tensor], Tensor]]
"""the lines of a layer's outputs, and the layer's transpose for tables of rows"""


def fall(
    rows: Float[Tensor, "*n k size"], steps: Sequence[Step], deltas: Perturbations
) -> Float[Tensor, "n k"]:
    """How far rows (k x size: the same of all inputs) can fall below their reference."""
    lost, rows = _swept(rows, steps, len(deltas.eps))
    return lost + deltas.support_below(rows)


def fall_and_rise(
    rows: Float[Tensor, "*n k size"], steps: Sequence[Step], deltas: Perturbations
) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k"]]:
    """How far rows can fall below their reference, and rise above it."""
    if not all(lines.parallel for lines, _ in steps):
        return fall(rows, steps, deltas), fall(-rows, steps, deltas)
    lost, rows = _swept(rows, steps, len(deltas.eps))
    down = lost + deltas.support_below(rows)
    return down, down if deltas.symmetric else lost + deltas.support_above(rows)


def _swept(rows: Tensor, steps: Sequence[Step], n: int) -> tuple[Tensor, Tensor]:
    """What is lost in the hidden layers, and the rows on the input."""
    lost = rows.new_zeros(())
    for lines, transposed in steps:
        gated = _gated(rows, lines)
        lost = lost + _least_lost(rows, gated, lines)
        rows = transposed(gated)
    return lost, rows if rows.ndim == 3 else rows.expand(n, -1, -1)


def _least_lost(rows: Tensor, gated: Tensor, lines: LinearRelaxation) -> Tensor:
    """What rows lose at a layer: by its lines, or less where its units are coupled."""
    lost = _lost(rows, lines)
    if lines.coupling is None:
        return lost
    coupling = lines.coupling
    below = torch.where(
        _as(coupling.open, lines.below), _as(coupling.slack, lines.below), lines.below
    )
    above = torch.where(
        _as(coupling.open, lines.above), _as(coupling.slack, lines.above), lines.above
    )
    others = _lost(rows, replace(lines, below=below, above=above))
    return lost.minimum(others + coupling.loss(rows, gated))


def _as(values: Tensor, lines: Tensor) -> Tensor:
    """A table of inputs, for lines that may differ from row to row."""
    return values if lines.ndim == 2 else values.unsqueeze(1)


def _lost(rows: Tensor, lines: LinearRelaxation) -> Tensor:
    if not lines.even:
        below = _by_row(lines.below)
        above = _by_row(lines.above)
        return (rows.clamp_min(0) * below - rows.clamp_max(0) * above).sum(-1)
    if rows.ndim == 2:
        return lines.below @ rows.abs().T
    lost: Tensor = (rows.abs() @ lines.below.unsqueeze(2)).squeeze(2)
    return lost


def _gated(rows: Tensor, lines: LinearRelaxation) -> Tensor:
    upper = _by_row(lines.upper)
    if lines.parallel:
        return rows * upper
    lower = _by_row(lines.lower)
    if rows.ndim == 2:
        gated: Tensor = torch.addcmul(rows * upper, rows.clamp_min(0), lower - upper)
        return gated
    return rows * torch.where(rows > 0, lower, upper)


def _by_row(values: Tensor) -> Tensor:
    return values if values.ndim == 3 else values.unsqueeze(1)


def steps_below(
    layers: Sequence[Layer],
    lines: Sequence[LinearRelaxation],
    top: int,
    inputs: Int[Tensor, " m"] | slice,
) -> list[Step]:
    """The steps from the inputs of layer `top` down, for some of the network's inputs."""

    def transposed(layer: Layer, rows: Tensor) -> Tensor:
        below: Tensor = layer.transposed(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])
        return below

    return [(lines[i].at(inputs), partial(transposed, layers[i])) for i in range(top - 1, -1, -1)]


def some_rows(
    layers: Sequence[Layer],
    lines: Sequence[LinearRelaxation],
    deltas: Perturbations,
    top: int,
    which: Int[Tensor, " m"],
    unit: Int[Tensor, " m"],
) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Fall and rise of units of a dense layer `top`, each of the input `which` (increasing)."""
    found = [(deltas.eps[:0], deltas.eps[:0])]
    widest = max(deltas.up.shape[1], *(layer.size for layer in layers[: top + 1]))
    for part in groups(len(unit), at_once(unit.device) // widest):
        grid = PaddedBatch(which[part])
        rows = layers[top].rows(grid.filled(unit[part]).flatten())
        rows = rows.unflatten(0, grid.shape)
        steps = steps_below(layers, lines, top, grid.inputs)
        both = fall_and_rise(rows, steps, deltas.at(grid.inputs))
        found.append((grid.taken(both[0]), grid.taken(both[1])))
    falls, rises = zip(*found, strict=True)
    return torch.cat(falls), torch.cat(rises)
