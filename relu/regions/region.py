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

from relu.batching import at_once, groups
from relu.network.activation import slopes
from relu.network.layers import Dense, Layer


@dataclass(frozen=True, eq=False)
class Region:
    """Inputs, each with a region: the activity of every hidden unit (not necessarily x's own).

    slopes: of each unit there (1 where it is active, else its leak), per hidden layer. z: what the
    region's affine map gives at x, per hidden layer; logits likewise. Units are numbered through
    all layers.
    """

    layers: Sequence[Layer]
    x: Float[Tensor, "n d"]
    slopes: Sequence[Float[Tensor, "n _"]]
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
        """Which units are active, all layers in one; those without a kink always are."""
        return torch.cat([self.x[:, :0], *self.slopes], dim=1) == 1

    def at(self, which: Int[Tensor, " m"] | slice) -> "Region":
        """The inputs `which`, repeated and in any order."""
        return replace(
            self,
            x=self.x[which],
            logits=self.logits[which],
            slopes=[slope[which] for slope in self.slopes],
            z=[z[which] for z in self.z],
        )

    def parts(self, numbers_per_input: int) -> Iterator["Region"]:
        """The inputs in groups that fit."""
        step = at_once(self.x.device) // max(1, numbers_per_input)
        return (self.at(part) for part in groups(len(self.x), step))


def region_of(layers: Sequence[Layer], x: Float[Tensor, "n d"]) -> Region:
    """The region that each x lies in; a unit at exactly 0 is inactive. Differentiable."""
    frozen = []
    z = []
    g = x
    for layer in layers[:-1]:
        z.append(layer.forward(g))
        frozen.append(slopes(layer, z[-1].detach() > 0, x))
        g = z[-1] * frozen[-1]
    return Region(layers, x, frozen, z, layers[-1].forward(g))


def affine_map(
    layers: Sequence[Layer], x: Float[Tensor, "n d"], frozen: Sequence[Float[Tensor, "n _"]]
) -> Region:
    """The region with these slopes, its affine map evaluated at x."""
    z = []
    g = x
    for layer, slope in zip(layers[:-1], frozen, strict=True):
        z.append(layer.forward(g))
        g = z[-1] * slope
    return Region(layers, x, frozen, z, layers[-1].forward(g))


def with_pattern(
    layers: Sequence[Layer], x: Float[Tensor, "n d"], pattern: Bool[Tensor, "n units"]
) -> Region:
    """The region with these active units, without its values at x: for its rows alone."""
    sizes = [layer.size for layer in layers[:-1]]
    parts = pattern.split(sizes, dim=1) if sizes else ()
    frozen = [slopes(layer, part, x) for layer, part in zip(layers, parts, strict=False)]
    return Region(layers, x, frozen, (), x[:, :0])


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
    layers = (replace(first, weight=first.weight @ basis), *region.layers[1:])
    return replace(region, layers=layers, x=region.x @ basis)
