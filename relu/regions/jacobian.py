"""Rows of a region's affine maps, and their norms, without building the maps."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.batching import at_once
from relu.classes import others
from relu.network.layers import Conv, Dense, Layer, matrix
from relu.norms import dual_length
from relu.regions.colouring import Compression, compression_of
from relu.regions.compressed import compressed_norms
from relu.regions.receptive_field import receptive_fields_of
from relu.regions.region import Region


@torch.no_grad()
def norms(
    region: Region, q: float, compression: Compression | None = None
) -> Float[Tensor, "n units"]:
    """||V^(l)_i||_q of every hidden unit, in the network's precision.

    Of units without a kink, which have no hyperplane, it may be 0. compression: `compressed` of
    the region, where it is known.
    """
    columns: list[Tensor] = []
    compression = compression or compressed(region)
    tail = dense_tail(region.hidden)
    if compression is not None:
        tail = len(compression.colours)
        columns.append(compressed_norms(region, compression, q))
    elif tail:
        columns += [_conv_norms(region, top, q) for top in range(tail)]
    else:
        tail = min(1, len(region.hidden))
        first = first_norms(region.layers[0], q) if region.hidden else region.x[:, :0]
        columns.append(first.expand(len(region.x), -1))
    if tail < len(region.hidden):
        columns.append(_dense_norms(region, tail, q))
    return torch.cat(columns, dim=1)


def dense_tail(layers: Sequence[Layer]) -> int:
    """Where the matrices begin that all further layers are."""
    count = len(layers)
    while count and isinstance(layers[count - 1], Dense):
        count -= 1
    return count


def compressed(region: Region) -> Compression | None:
    """How Jacobians are compressed before the dense tail; None: there are but convolutions.

    Dense layers count as others where they have more units, rows, than there are pixels, columns.
    """
    tail = dense_tail(region.hidden)
    if leading_convolutions(region.hidden) >= tail:
        return None
    d = region.x.shape[1]
    narrow = tail < len(region.hidden) and region.hidden[tail].size < d
    return compression_of(region.hidden[: tail if narrow else None], d)


def leading_convolutions(layers: Sequence[Layer]) -> int:
    """How many layers are convolutions, and so are all below: their units see windows."""
    count = 0
    while count < len(layers) and isinstance(layers[count], Conv):
        count += 1
    return count


def first_norms(layer: Layer, q: float) -> Float[Tensor, " units"]:
    """||W^(1)_i||_q, which no input changes; cut off at the image's border. Differentiable."""
    if isinstance(layer, Dense):
        return dual_length(layer.weight, q)
    if not isinstance(layer, Conv):
        units = torch.arange(layer.size, device=layer.like.device)
        step = max(1, at_once(units.device) // layer.size)
        return torch.cat([dual_length(layer.rows(part), q) for part in units.split(step)])
    windows = receptive_fields_of([layer], 0)
    inside = (windows.pixels >= 0).to(layer.weight.dtype)
    kernels = windows.kernels * inside.unsqueeze(1)  # positions, channels, window
    return dual_length(kernels, q).flatten()


def _conv_norms(region: Region, top: int, q: float) -> Tensor:
    """Position by position: all inputs and channels in one matrix product."""
    if top == 0:
        return first_norms(region.layers[0], q).expand(len(region.x), -1)
    windows = receptive_fields_of(region.layers, top)
    seen = windows.pixels >= 0
    kernels = windows.kernels.unsqueeze(1)
    parts = []
    for part in region.parts(kernels.numel() // 4):
        gates = [windows.cut(active, i) for i, active in enumerate(part.slopes[:top], 1)]
        lengths = []
        for p in range(len(seen)):
            rows = (kernels * gates[-1][:, p]).flatten(0, 1)
            for i in range(top - 1, 0, -1):
                gate = gates[i - 1][:, p].repeat(len(kernels), 1)
                rows = windows.transposed(rows, i) * gate
            matrix = windows.matrices[0]
            inside = seen[p].nonzero().squeeze(1)
            if matrix is not None:
                rows = rows @ matrix[:, inside]
            else:
                rows = windows.transposed(rows, 0)[:, inside]
            lengths.append(dual_length(rows, q).view(len(kernels), -1))
        parts.append(torch.stack(lengths).permute(2, 0, 1).flatten(1))
    return torch.cat(parts)


def _dense_norms(region: Region, start: int, q: float) -> Tensor:
    """Layer by layer: V^(l) = (W^(l) Sigma^(l-1)) V^(l-1), a few inputs at a time."""
    layers = region.layers
    first = layers[0]
    rows_of_first = first.weight if start == 1 and isinstance(first, Dense) else None
    widest = max(layer.size for layer in layers[start:-1])
    width = max(region.x.shape[1], *(layer.size for layer in layers[:start]))
    parts = []
    for part in region.parts(widest * width):
        rows = rows_of_first
        lengths = []
        for i in range(start, len(layers) - 1):
            weight = matrix(layers[i]).expand(len(part.x), -1, -1)
            if rows is None:
                rows = vjp_at_once(part, weight, i)
            else:
                rows = (weight * part.slopes[i - 1].unsqueeze(1)) @ rows
            lengths.append(dual_length(rows, q))
        parts.append(torch.cat(lengths, dim=1))
    return torch.cat(parts)


@torch.no_grad()
def vjp(region: Region, r: Float[Tensor, "n k size"], layer: int) -> Float[Tensor, "n k d"]:
    """Rows r on the inputs of a layer, as rows on the network's input: r Sigma W Sigma ... W."""
    if layer == 0:
        return r
    widest = max(region.x.shape[1], *(below.size for below in region.layers[:layer]))
    rows = []
    start = 0
    for part in region.parts(r.shape[1] * widest):
        rows.append(vjp_at_once(part, r[start : start + len(part.x)], layer))
        start += len(part.x)
    return torch.cat(rows) if rows else r.new_empty(*r.shape[:2], region.x.shape[1])


def vjp_at_once(region: Region, r: Float[Tensor, "n k size"], layer: int) -> Float[Tensor, "n k d"]:
    """As `vjp`, all inputs at once; differentiable."""
    n, k = r.shape[:2]
    for i in range(layer - 1, -1, -1):
        gate = region.slopes[i].unsqueeze(1)
        ours = i < layer - 1 and not r.requires_grad  # so that nobody needs what it was
        r = r.mul_(gate) if ours else r * gate
        r = region.layers[i].transposed(r.flatten(0, 1)).unflatten(0, (n, k))
    return r


def unit_rows(region: Region, unit: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """V_i of one hidden unit per input, numbered through all layers."""
    rows = torch.empty_like(region.x)
    starts = region.starts
    convolutions = leading_convolutions(region.hidden)
    for i, layer in enumerate(region.hidden):
        which = ((unit >= starts[i]) & (unit < starts[i + 1])).nonzero().squeeze(1)
        if not len(which):
            continue
        mine = unit[which] - starts[i]
        if i >= convolutions:
            rows[which] = vjp(region.at(which), layer.rows(mine).unsqueeze(1), i).squeeze(1)
            continue
        windows = receptive_fields_of(region.layers, i)
        position, channel = windows.split(mine)
        gates = windows.gates(region.slopes[:i], which, position)
        rows[which] = windows.spread(windows.rows(gates, channel, position), position)
    return rows


def logit_rows(layers: Sequence[Layer], y: Int[Tensor, " n"]) -> Float[Tensor, "n k1 size"]:
    """W_y - W_s of the last layer, for all classes s but y in order."""
    weight = matrix(layers[-1])
    return weight[y].unsqueeze(1) - weight[others(y, len(weight))]
