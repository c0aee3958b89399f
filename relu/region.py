"""The linear region of an input: on it, the network is one affine map [CAH19, Section 2].

With the activity Sigma^(l) of every ReLU layer frozen,

    V^(l) = W^(l) Sigma^(l-1) W^(l-1) ... Sigma^(1) W^(1),     f^(l)(z) = V^(l) z + a^(l),

so row i of V^(l) is the normal of the hyperplane on which unit i of layer l switches. V^(l) is
never built for its own sake: its rows' norms are computed in parts that fit the cache, and rows
themselves only where they are asked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from relu.grid import at_once, groups
from relu.layers import Conv, Dense, Layer
from relu.windows import windows_of

SMALL_LENGTH = 1e-140  # of a float64 row, from which on what its squares underflow by is nothing


@dataclass(frozen=True, eq=False)
class Region:
    """Inputs, each with a region: the activity of every hidden unit (not necessarily x's own).

    active: 1 where the unit is active, else 0, per hidden layer. z: what the region's affine map
    gives at x, per hidden layer; logits likewise. Units are numbered through all layers.
    """

    layers: Sequence[Layer]
    x: Float[Tensor, "n d"]
    active: Sequence[Float[Tensor, "n _"]]
    z: Sequence[Float[Tensor, "n _"]]
    logits: Float[Tensor, "n k"]

    @property
    def hidden(self) -> Sequence[Layer]:
        return self.layers[:-1]

    @property
    def starts(self) -> list[int]:
        """The number of each hidden layer's first unit, and at the end the number of units."""
        starts = [0]
        for layer in self.hidden:
            starts.append(starts[-1] + layer.size)
        return starts

    @property
    def pattern(self) -> Bool[Tensor, "n units"]:
        """Which units are active, all layers in one."""
        return torch.cat([self.x[:, :0], *self.active], dim=1) > 0

    def at(self, which: Int[Tensor, " m"] | slice) -> "Region":
        """The inputs `which`, repeated and in any order."""
        return replace(
            self,
            x=self.x[which],
            logits=self.logits[which],
            active=[a[which] for a in self.active],
            z=[z[which] for z in self.z],
        )

    def parts(self, numbers_per_input: int) -> Iterator["Region"]:
        """The inputs in groups that fit."""
        step = at_once(self.x.device) // max(1, numbers_per_input)
        return (self.at(part) for part in groups(len(self.x), step))


def region_of(layers: Sequence[Layer], x: Float[Tensor, "n d"]) -> Region:
    """The region that each x lies in; a unit at exactly 0 is inactive. Differentiable."""
    active, z, g = [], [], x
    for layer in layers[:-1]:
        z.append(layer.forward(g))
        active.append((z[-1].detach() > 0).to(x.dtype))
        g = z[-1] * active[-1]
    return Region(layers, x, active, z, layers[-1].forward(g))


def frozen(
    layers: Sequence[Layer], x: Float[Tensor, "n d"], active: Sequence[Float[Tensor, "n _"]]
) -> Region:
    """The region with this activity, its affine map evaluated at x."""
    z, g = [], x
    for layer, on in zip(layers[:-1], active, strict=True):
        z.append(layer.forward(g))
        g = z[-1] * on
    return Region(layers, x, active, z, layers[-1].forward(g))


def with_pattern(
    layers: Sequence[Layer], x: Float[Tensor, "n d"], pattern: Bool[Tensor, "n units"]
) -> Region:
    """The region with these active units, without its values at x: for its rows alone."""
    sizes = [layer.size for layer in layers[:-1]]
    active = pattern.to(x.dtype).split(sizes, dim=1) if sizes else ()
    return Region(layers, x, active, (), x[:, :0])


def shortened(region: Region, q: float) -> Region:
    """The region with shorter rows V^(l)_i, of the same l2 norms, where q = 2 and it saves work.

    Inputs z become Q z and W^(1) becomes W^(1) Q^T, where Q's orthonormal rows span W^(1)'s. With Q
    held fixed, gradients of the norms in W^(1) stay the same, too, as they lie in that span. Made
    for training: the rounding that Q adds is in no bound of a certificate.
    """
    first = region.layers[0]
    if q != 2 or not isinstance(first, Dense) or 4 * first.size > first.weight.shape[1]:
        return region
    with torch.no_grad():
        basis = torch.linalg.qr(first.weight.T).Q
    layers = (Dense(first.weight @ basis, first.bias), *region.layers[1:])
    return replace(region, layers=layers, x=region.x @ basis)


def dual_length(v: Float[Tensor, "*n d"], q: float) -> Float[Tensor, "*n"]:
    """||v||_q over the last axis, q in {1, 2, inf}."""
    if q == 2:
        length: Tensor = torch.linalg.vector_norm(v, dim=-1)  # whose gradient at 0 is 0
        return _scaled_where_small(v, length) if v.dtype == torch.float64 else length
    if q == 1 or not v.shape[-1]:  # a unit may see nothing but padding
        return v.abs().sum(-1)
    return v.abs().amax(-1)


def _scaled_where_small(v: Tensor, length: Tensor) -> Tensor:
    """Lengths in l2, those computed from their scaled rows whose squares may have underflown."""
    small = (length < SMALL_LENGTH).nonzero()
    if not len(small) or not v.shape[-1]:  # a unit may see nothing but padding
        return length
    largest = torch.linalg.vector_norm(v.detach()[tuple(small.T)], torch.inf, dim=-1)
    small = small[largest != 0]  # rows of zeros are what they seem
    if not len(small):
        return length
    which, largest = tuple(small.T), largest[largest != 0]
    again = torch.linalg.vector_norm(v[which] / largest.unsqueeze(-1), dim=-1) * largest
    return length.index_put(which, again)


def steepest(v: Float[Tensor, "*n d"], q: float) -> Float[Tensor, "*n d"]:
    """The s of dual norm 1 (in p, 1/p + 1/q = 1) with s . v = ||v||_q."""
    if q == 1:
        return v.sign()
    if q == 2:
        return v / dual_length(v, 2).clamp_min(torch.finfo(v.dtype).tiny).unsqueeze(-1)
    top = v.abs().argmax(-1, keepdim=True)
    return torch.zeros_like(v).scatter_(-1, top, v.gather(-1, top).sign())


@torch.no_grad()
def norms(region: Region, q: float) -> Float[Tensor, "n units"]:
    """||V^(l)_i||_q of every hidden unit, in the network's precision."""
    columns: list[Tensor] = []
    n, convolutions = len(region.x), 0
    while convolutions < len(region.hidden) and isinstance(region.layers[convolutions], Conv):
        columns.append(_conv_norms(region, convolutions, q))
        convolutions += 1
    if convolutions == 0:
        first = first_norms(region.layers[0], q) if region.hidden else region.x[:, :0]
        columns.append(first.expand(n, -1))
    done = max(convolutions, 1)
    if done < len(region.hidden):
        columns.append(_dense_norms(region, done, q))
    return torch.cat(columns, dim=1)


def first_norms(layer: Layer, q: float) -> Float[Tensor, " units"]:
    """||W^(1)_i||_q, which no input changes; cut off at the image's border. Differentiable."""
    if isinstance(layer, Dense):
        return dual_length(layer.weight, q)
    windows = windows_of([layer], 0)
    inside = (windows.pixels >= 0).to(layer.weight.dtype)
    kernels = windows.kernels * inside.unsqueeze(1)  # positions, channels, window
    return dual_length(kernels, q).flatten()


def _conv_norms(region: Region, top: int, q: float) -> Tensor:
    """Position by position: all inputs and channels in one matrix product."""
    if top == 0:
        return first_norms(region.layers[0], q).expand(len(region.x), -1)
    windows = windows_of(region.layers, top)
    seen = windows.pixels >= 0
    kernels = windows.kernels.unsqueeze(1)
    parts = []
    for part in region.parts(kernels.numel() // 4):
        gates = [windows.cut(active, i) for i, active in enumerate(part.active[:top], 1)]
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
    rows_of_first = layers[0].weight if isinstance(layers[0], Dense) else None
    widest = max(layer.size for layer in layers[start:-1])
    width = max(region.x.shape[1], *(layer.size for layer in layers[:start]))
    parts = []
    for part in region.parts(widest * width):
        rows, lengths = rows_of_first, []
        for i in range(start, len(layers) - 1):
            weight = layers[i].weight.expand(len(part.x), -1, -1)
            if rows is None:
                rows = pulled(part, weight, i)
            else:
                rows = (weight * part.active[i - 1].unsqueeze(1)) @ rows
            lengths.append(dual_length(rows, q))
        parts.append(torch.cat(lengths, dim=1))
    return torch.cat(parts)


@torch.no_grad()
def pull(region: Region, r: Float[Tensor, "n k size"], layer: int) -> Float[Tensor, "n k d"]:
    """Rows r on the inputs of a layer, as rows on the network's input: r Sigma W Sigma ... W."""
    if layer == 0:
        return r
    widest = max(region.x.shape[1], *(below.size for below in region.layers[:layer]))
    rows, start = [], 0
    for part in region.parts(r.shape[1] * widest):
        rows.append(pulled(part, r[start : start + len(part.x)], layer))
        start += len(part.x)
    return torch.cat(rows) if rows else r.new_empty(*r.shape[:2], region.x.shape[1])


def pulled(region: Region, r: Float[Tensor, "n k size"], layer: int) -> Float[Tensor, "n k d"]:
    """As `pull`, all inputs at once; differentiable."""
    n, k = r.shape[:2]
    for i in range(layer - 1, -1, -1):
        gate = region.active[i].unsqueeze(1)
        r = r * gate if i == layer - 1 else r.mul_(gate)
        r = region.layers[i].transposed(r.flatten(0, 1)).unflatten(0, (n, k))
    return r


def unit_rows(region: Region, unit: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """V_i of one hidden unit per input, numbered through all layers."""
    rows, starts = torch.empty_like(region.x), region.starts
    for i, layer in enumerate(region.hidden):
        which = ((unit >= starts[i]) & (unit < starts[i + 1])).nonzero().squeeze(1)
        if not len(which):
            continue
        mine = unit[which] - starts[i]
        if isinstance(layer, Dense):
            rows[which] = pull(region.at(which), layer.weight[mine].unsqueeze(1), i).squeeze(1)
            continue
        windows = windows_of(region.layers, i)
        position, channel = windows.split(mine)
        gates = windows.gates(region.active[:i], which, position)
        rows[which] = windows.spread(windows.rows(gates, channel, position), position)
    return rows


def logit_rows(layers: Sequence[Layer], y: Int[Tensor, " n"]) -> Float[Tensor, "n k1 size"]:
    """W_y - W_s of the last layer, for all classes s but y in order."""
    weight = layers[-1].weight
    return weight[y].unsqueeze(1) - weight[others(y, len(weight))]


def others(y: Int[Tensor, " n"], classes: int) -> Int[Tensor, "n k1"]:
    """All classes but the label, in order."""
    s = torch.arange(classes - 1, device=y.device).expand(len(y), -1)
    return s + (s >= y.unsqueeze(1))


def gaps(logits: Float[Tensor, "n k"], y: Int[Tensor, " n"]) -> Float[Tensor, "n k1"]:
    """f_y - f_s, for all classes s but y in order."""
    return logits.gather(1, y.unsqueeze(1)) - logits.gather(1, others(y, logits.shape[1]))
