"""Distances of inputs to the hyperplanes around them, differentiable [CAH19, eq. 3-6].

    to unit i of layer l:        |f^(l)_i(x)| / ||V^(l)_i||_q
    to the boundary of class s:  (f_y(x) - f_s(x)) / ||V_y - V_s||_q,  negative where s wins

Which hyperplanes are near is found without gradients. Only those that the loss depends on are
computed again: where s is the vector of dual norm 1 with s . V_i = ||V_i||_q, the gradient of the
norm in the weights is that of s . V_i with s held fixed, and s . V_i is one pass of s, as if it
were an image, through the frozen network without biases.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.layers import Conv
from relu.region import (
    Region,
    dual_length,
    first_norms,
    gaps,
    logit_rows,
    norms,
    others,
    pull,
    steepest,
)
from relu.threat import Threat
from relu.windows import windows_of


def boundary_distances(
    region: Region, threat: Threat, *, k: int, within: float = torch.inf
) -> Float[Tensor, "n k"]:
    """The k smallest distances to hyperplanes of hidden units, in increasing order.

    Distances of `within` or more come without a gradient. A unit that no input of the region
    moves (V_i = 0) is at distance inf. The region is x's own (`region_of`).
    """
    z = torch.cat(list(region.z), dim=1).abs()
    length = norms(region, threat.q)
    nearest = _quotient(z.detach(), length).topk(k, dim=1, largest=False)
    z, length = z.gather(1, nearest.indices), length.gather(1, nearest.indices)
    wanted = (nearest.values < within).nonzero()
    units = nearest.indices[tuple(wanted.T)]
    length = _with_gradients(region, length, wanted, units, threat.q)
    return _quotient(z, length)


def decision_distances(
    region: Region, y: Int[Tensor, " n"], threat: Threat, *, within: float = torch.inf
) -> Float[Tensor, "n k1"]:
    """The signed distances to the boundaries of all other classes, in the order of the classes.

    inf where no input of the region changes which of the two wins. Distances of `within` or more
    come without a gradient.
    """
    gap = gaps(region, y)
    with torch.no_grad():
        rows = pull(region, logit_rows(region, y), len(region.layers) - 1)
        length = dual_length(rows, threat.q)
        wanted = (_quotient(gap, length) < within).nonzero()
        direction = steepest(rows[tuple(wanted.T)], threat.q)
    which, class_ = wanted[:, 0], others(y, region.logits.shape[1])[tuple(wanted.T)]
    moved = _pushed(region, which, direction, len(region.layers) - 1)
    logits = moved @ region.layers[-1].weight.T
    along = logits.gather(1, y[which].unsqueeze(1)) - logits.gather(1, class_.unsqueeze(1))
    return _quotient(gap, length.index_put(tuple(wanted.T), along.squeeze(1)))


def _quotient(gap: Tensor, length: Tensor) -> Tensor:
    """Gap / length, and inf where nothing moves the gap, so that there is no hyperplane."""
    moving = length > 0
    return torch.where(moving, gap / torch.where(moving, length, 1.0), torch.inf)


def _with_gradients(
    region: Region, length: Tensor, wanted: Tensor, units: Tensor, q: float
) -> Tensor:
    """`length` with the entries `wanted` (pairs of input and rank) made differentiable."""
    starts = region.starts
    for i, layer in enumerate(region.hidden):
        mine = (units >= starts[i]) & (units < starts[i + 1])
        which, unit = wanted[mine], units[mine] - starts[i]
        if not len(unit):
            continue
        if i == 0:
            values = first_norms(layer, q)[unit]
        elif isinstance(layer, Conv):
            values = _conv_lengths(region, i, which[:, 0], unit, q)
        else:
            values = _dense_lengths(region, i, which[:, 0], unit, q)
        length = length.index_put(tuple(which.T), values)
    return length


def _dense_lengths(region: Region, top: int, which: Tensor, unit: Tensor, q: float) -> Tensor:
    weight = region.layers[top].weight
    with torch.no_grad():
        rows = pull(region.rows(which), weight[unit].unsqueeze(1), top)
        direction = steepest(rows.squeeze(1), q)
    moved = _pushed(region, which, direction, top)
    return (moved @ weight.T).gather(1, unit.unsqueeze(1)).squeeze(1)


def _pushed(region: Region, which: Tensor, direction: Tensor, top: int) -> Tensor:
    """Directions of inputs `which`, moved through the frozen layers below `top`."""
    for i in range(top):
        direction = region.layers[i].linear(direction) * region.active[i][which]
    return direction


def _conv_lengths(region: Region, top: int, which: Tensor, unit: Tensor, q: float) -> Tensor:
    """As `_dense_lengths`, on the windows that the units see."""
    windows = windows_of(region.layers, top)
    position, channel = windows.split(unit)
    gates = windows.gates(region.active[:top], which, position)
    with torch.no_grad():
        direction = steepest(windows.rows(gates, channel, position), q)
    windows = windows_of(region.layers, top)  # anew, as its matrices must carry gradients
    moved = windows.pushed(gates, direction)
    return (moved @ windows.kernels.T).gather(1, channel.unsqueeze(1)).squeeze(1)
