"""Distances of inputs to the hyperplanes around them, differentiable [CAH19, eq. 3-6].

    to unit i of layer l:        |f^(l)_i(x)| / ||V^(l)_i||_q
    to the boundary of class s:  (f_y(x) - f_s(x)) / ||V_y - V_s||_q,  negative where s wins

Which hyperplanes are near is found without gradients. Only those that the loss depends on are
computed again: where s is the vector of dual norm 1 with s . V_i = ||V_i||_q, the gradient of the
norm in the weights is that of s . V_i with s held fixed, and s . V_i is one pass of s, as if it
were an image, through the frozen network without biases.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.batching import PaddedBatch
from relu.classes import gaps, others
from relu.network.activation import switching_units
from relu.network.layers import matrix
from relu.norms import aligned, dual_length
from relu.regions.colouring import Compression
from relu.regions.compressed import with_gradients
from relu.regions.jacobian import (
    compressed,
    first_norms,
    leading_convolutions,
    logit_rows,
    norms,
    vjp,
)
from relu.regions.receptive_field import receptive_fields_of
from relu.regions.region import Region
from relu.threat import Threat


def boundary_distances(
    region: Region, threat: Threat, *, k: int, within: float = torch.inf
) -> Float[Tensor, "n k"]:
    """The k smallest distances to hyperplanes of hidden units, in increasing order.

    Distances of `within` or more come without a gradient. A unit that no input of the region
    moves (V_i = 0), or that has no kink, is at distance inf. The region is x's own (`region_of`).
    """
    hyperplanes = Hyperplanes.of(region, threat.q)
    return hyperplanes.distances(hyperplanes.nearest(k), within)


@dataclass(frozen=True, eq=False)
class Hyperplanes:
    """Those of all hidden units of regions; lengths of their normals in the dual norm q.

    Of units without a kink, the length is 0: nothing is at a distance from them.
    """

    region: Region
    q: float
    compression: Compression | None
    lengths: Float[Tensor, "n units"]

    @classmethod
    def of(cls, region: Region, q: float) -> "Hyperplanes":
        """The region is x's own."""
        compression = compressed(region)
        lengths = norms(region, q, compression)
        kinked = switching_units(region.hidden)
        return cls(region, q, compression, lengths if kinked is None else lengths * kinked)

    def nearest(self, k: int) -> Int[Tensor, "n k"]:
        """The units whose hyperplanes are nearest, the nearest first."""
        distances = _quotient(self._sizes().detach(), self.lengths)
        return distances.topk(k, dim=1, largest=False).indices

    def distances(
        self, units: Int[Tensor, "n k"], within: float = torch.inf
    ) -> Float[Tensor, "n k"]:
        """Those of some units of each input; with gradients where they are less than `within`."""
        sizes = self._sizes().gather(1, units)
        lengths = self.lengths.gather(1, units)
        wanted = (_quotient(sizes.detach(), lengths) < within).nonzero()
        chosen = units[tuple(wanted.T)]
        lengths = _with_gradients(self.region, self.compression, lengths, wanted, chosen, self.q)
        return _quotient(sizes, lengths)

    def _sizes(self) -> Tensor:
        return torch.cat(list(self.region.z), dim=1).abs()


def decision_distances(
    region: Region, y: Int[Tensor, " n"], threat: Threat, *, within: float = torch.inf
) -> Float[Tensor, "n k1"]:
    """The signed distances to the boundaries of all other classes, in the order of the classes.

    inf where no input of the region changes which of the two wins. Distances of `within` or more
    come without a gradient.
    """
    gap = gaps(region.logits, y)
    top = len(region.layers) - 1
    with torch.no_grad():
        rows = vjp(region, logit_rows(region.layers, y), top)
        length = dual_length(rows, threat.q)
        wanted = (_quotient(gap, length) < within).nonzero()
    if not len(wanted):
        return _quotient(gap, length)
    which = wanted[:, 0]
    other_class = others(y, region.logits.shape[1])[tuple(wanted.T)]
    grid = PaddedBatch(which)
    direction = aligned(grid.filled(rows[tuple(wanted.T)]), threat.q)
    moved = _jvp(region.at(grid.inputs), direction, top)
    logits = grid.taken(moved @ matrix(region.layers[-1]).T)
    pair = torch.stack([y[which], other_class], dim=1)
    ours, theirs = logits.gather(1, pair).unbind(1)
    return _quotient(gap, length.index_put(tuple(wanted.T), ours - theirs))


def _jvp(region: Region, direction: Float[Tensor, "g k d"], top: int) -> Float[Tensor, "g k size"]:
    """Directions, moved through the frozen layers below `top`. Differentiable."""
    table = direction.shape[:2]
    for i in range(top):
        moved = region.layers[i].linear(direction.flatten(0, 1)).unflatten(0, table)
        direction = moved * region.slopes[i].unsqueeze(1)
    return direction


def _quotient(gap: Tensor, length: Tensor) -> Tensor:
    """Gap / length, and inf where nothing moves the gap, so that there is no hyperplane."""
    moving = length > 0
    return torch.where(moving, gap / torch.where(moving, length, 1.0), torch.inf)


def _with_gradients(
    region: Region,
    compression: Compression | None,
    length: Tensor,
    wanted: Tensor,
    units: Tensor,
    q: float,
) -> Tensor:
    """`length` with the entries `wanted` (pairs of input and rank) made differentiable."""
    starts = region.starts
    convolutions = leading_convolutions(region.hidden)
    done = 0
    if compression is not None:
        length, done = _compressed_lengths(region, compression, length, wanted, units, q)
    for i, layer in enumerate(region.hidden[done:], done):
        mine = (units >= starts[i]) & (units < starts[i + 1])
        which = wanted[mine]
        unit = units[mine] - starts[i]
        if not len(unit):
            continue
        if i == 0:
            values = first_norms(layer, q)[unit]
        elif i < convolutions:
            values = _conv_lengths(region, i, which[:, 0], unit, q)
        else:
            values = _dense_lengths(region, i, which[:, 0], unit, q)
        length = length.index_put(tuple(which.T), values)
    return length


def _compressed_lengths(
    region: Region,
    compression: Compression,
    length: Tensor,
    wanted: Tensor,
    units: Tensor,
    q: float,
) -> tuple[Tensor, int]:
    """Those of the first layers, by compressed Jacobians; of how many, as far as it saves work.

    It takes a column for each colour, through each layer; else a unit takes a row through its
    own layer and all below.
    """
    starts = torch.tensor(region.starts, device=units.device)
    layers = torch.bucketize(units, starts, right=True) - 1
    tail = len(compression.colours)
    counts = layers.bincount(minlength=tail)[:tail] / len(region.x)
    depths = torch.arange(1, tail + 1, device=units.device)
    columns = torch.tensor(compression.colours, device=units.device).cumsum(0)
    saving = (columns <= (counts * depths).cumsum(0)).nonzero()
    if not len(saving):
        return length, 0
    count = int(saving[-1]) + 1
    mine = layers < count
    which = wanted[mine]
    known = length.new_zeros(len(length), int(starts[count]))
    places = (which[:, 0], units[mine])
    known[places] = length[tuple(which.T)]
    values = with_gradients(region, compression.only(count), q, known)[places]
    return length.index_put(tuple(which.T), values), count


def _dense_lengths(region: Region, top: int, which: Tensor, unit: Tensor, q: float) -> Tensor:
    layer = region.layers[top]
    grid = PaddedBatch(which)
    units = grid.filled(unit)
    lines = region.at(grid.inputs)
    with torch.no_grad():
        rows = layer.rows(units.flatten()).unflatten(0, grid.shape)
        direction = aligned(vjp(lines, rows, top), q)
    moved = _jvp(lines, direction, top).flatten(0, 1)
    values = layer.linear(moved).gather(1, units.view(-1, 1)).view(grid.shape)
    return grid.taken(values)


def _conv_lengths(region: Region, top: int, which: Tensor, unit: Tensor, q: float) -> Tensor:
    """As `_dense_lengths`, on the windows that the units see."""
    windows = receptive_fields_of(region.layers, top)
    position, channel = windows.split(unit)
    gates = windows.gates(region.slopes[:top], which, position)
    with torch.no_grad():
        direction = aligned(windows.rows(gates, channel, position), q)
    windows = receptive_fields_of(region.layers, top)  # anew, as its matrices must carry gradients
    moved = windows.jvp(gates, direction)
    return (moved @ windows.kernels.T).gather(1, channel.unsqueeze(1)).squeeze(1)
