"""A network on a plane, point by point: where linear regions are too many to be seen apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from leaderboard.figures.plane import Plane
from relu.network.activation import activated, switching
from relu.network.layers import Layer, Shape, to_vectors

SIDE = 300  # points: about as many as a panel has pixels in print
AT_ONCE = 200  # points that go through the network together


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampled:
    """A grid of SIDE x SIDE points of a window, lines of equal t, both ascending.

    parity: whether the number of active units is odd. logits: of each point.
    """

    window: Float[ndarray, "m 2"]
    parity: Int[ndarray, "side side"]
    logits: Float[ndarray, "side side k"]

    def classes(self, places: Float[ndarray, "n 2"]) -> Int[ndarray, " n"]:
        """The class of the grid's point next to each place."""
        low = self.window.min(0)
        share = (places - low) / (self.window.max(0) - low)
        s, t = np.clip((share * SIDE).astype(int), 0, SIDE - 1).T
        return np.asarray(self.logits.argmax(2)[t, s])


def grid_of(window: Float[ndarray, "m 2"], side: int) -> Float[ndarray, "n 2"]:
    """The middles of side x side cells of a window, line by line."""
    low = window.min(0)
    steps = (np.arange(side) + 0.5) / side
    unit = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    return np.asarray(unit * (window.max(0) - low) + low)


def sampled(
    layers: Sequence[Layer], plane: Plane, shape: Shape, window: Float[ndarray, "m 2"]
) -> Sampled:
    """The network at every point of the grid."""
    grid = grid_of(window, SIDE)
    places = (grid[i : i + AT_ONCE] for i in range(0, len(grid), AT_ONCE))
    points = (torch.from_numpy(plane.at(some)).view(-1, *shape) for some in places)
    parts = [_through(layers, x) for x in points]
    parity, logits = (torch.cat(values) for values in zip(*parts, strict=True))
    return Sampled(
        window=window,
        parity=parity.view(SIDE, SIDE).numpy(),
        logits=logits.view(SIDE, SIDE, -1).numpy(),
    )


def _through(
    layers: Sequence[Layer], x: Float[Tensor, "n *shape"]
) -> tuple[Int[Tensor, " n"], Float[Tensor, "n k"]]:
    """Whether the number of active units is odd, of those with a kink; and the logits."""
    g = to_vectors(layers, x)
    count = torch.zeros(len(x), dtype=torch.long)
    for layer in layers[:-1]:
        z = layer.forward(g)
        kinked = switching(layer)
        count += (z > 0 if kinked is None else (z > 0) & kinked).sum(1)
        g = activated(layer, z)
    return count % 2, layers[-1].forward(g)
