"""The linear regions of a network in a plane, and its decisions there, exactly.

On a piece of the plane where all earlier units keep their sign, a unit's pre-activation is affine,
z = c0 + c1 s + c2 t, and switches on a line. So polygons are cut layer by layer: by the lines of
those units that cross them [CAH19, Section 2]. All in float64; pieces narrower than NARROW of the
window are not told apart.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from leaderboard.figures.plane import Plane, cut
from relu.errors import InputError
from relu.network.activation import slopes, switching
from relu.network.layers import Layer, Shape, to_vectors

NARROW = 1e-10
MOST = 10_000  # pieces: more cannot be seen apart, and take minutes
TIED = 1e-9  # of the largest logit: what rounding leaves of a difference that is 0
AT_ONCE = 64  # pieces whose maps go through a layer together


class TooManyRegions(InputError):
    """There are more linear regions than it is of use to draw."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """A convex part of the plane on which the network is one affine map.

    active: of each hidden unit that has a kink, whether it is above 0 there, all layers in one.
    logits: c0, c1, c2 of each.
    """

    corners: Float[ndarray, "m 2"]
    active: Bool[ndarray, " units"]
    logits: Float[ndarray, "k 3"]

    @property
    def parity(self) -> int:
        """Whether the number of active units is odd: neighbours differ, as on a chess board."""
        return int(self.active.sum() % 2)


@dataclass(frozen=True, eq=False)
class _Part:
    """A polygon, the units so far that are active there, and its affine map to the next layer."""

    corners: Float[ndarray, "m 2"]
    active: Bool[ndarray, " units"]
    z: Float[Tensor, "3 n"]
    slopes: Float[Tensor, " n"]


def linear_regions(
    layers: Sequence[Layer], plane: Plane, shape: Shape, window: Float[ndarray, "m 2"]
) -> list[Piece]:
    """The linear regions in a convex window of the plane. Raises TooManyRegions."""
    start = _start(layers, plane, shape)
    whole = _Part(window, np.zeros(0, dtype=bool), start, torch.ones_like(start[0]))
    parts = iter([whole])
    for layer in layers[:-1]:
        parts = _cut_by(layer, parts, NARROW * float(np.ptp(window, axis=0).max()))
    pieces = []
    for part, z in _through(layers[-1], parts):
        pieces.append(Piece(corners=part.corners, active=part.active, logits=z.T.numpy()))
        if len(pieces) > MOST:
            raise TooManyRegions(f"there are more than {MOST} linear regions in the plane")
    return pieces


def _start(layers: Sequence[Layer], plane: Plane, shape: Shape) -> Float[Tensor, "3 d"]:
    """The plane's affine map to what the first layer takes."""
    rows = torch.from_numpy(np.stack([plane.origin, plane.first, plane.second]))
    return to_vectors(layers, rows.reshape(3, *shape))


def _cut_by(layer: Layer, parts: Iterator[_Part], least: float) -> Iterator[_Part]:
    """The parts into which a layer's units cut each part."""
    kinked = switching(layer)
    chosen = torch.ones(layer.size, dtype=torch.bool) if kinked is None else kinked
    for part, z in _through(layer, parts):
        for corners, signs in divided(part.corners, z[:, chosen].T.numpy(), least):
            active = torch.ones(layer.size, dtype=torch.bool)
            active[chosen] = torch.from_numpy(signs)
            steep = slopes(layer, active.unsqueeze(0), z)[0]
            yield _Part(corners, np.concatenate([part.active, signs]), z, steep)


def _through(
    layer: Layer, parts: Iterator[_Part]
) -> Iterator[tuple[_Part, Float[Tensor, "3 n_out"]]]:
    """Each part with its affine map behind the layer, before the layer's units."""
    while some := list(itertools.islice(parts, AT_ONCE)):
        maps = torch.stack([part.z * part.slopes for part in some])
        behind = layer.linear(maps.flatten(0, 1)).unflatten(0, (-1, 3)).clone()
        behind[:, 0] += layer.forward(torch.zeros_like(maps[0, :1]))  # the bias
        yield from zip(some, behind, strict=True)


def divided(
    corners: Float[ndarray, "m 2"], lines: Float[ndarray, "units 3"], least: float
) -> Iterator[tuple[Float[ndarray, "_ 2"], Bool[ndarray, " units"]]]:
    """The parts into which lines cut a convex polygon, and the side of each line they are on.

    lines: c0, c1, c2 of c0 + c1 s + c2 t = 0. least: a distance below which nothing is cut.
    """
    steep = np.linalg.norm(lines[:, 1:], axis=1, keepdims=True)
    lines = lines / np.where(steep > 0, steep, 1.0)
    everywhere = np.arange(len(lines))
    waiting = [(corners, everywhere, np.zeros(len(lines), dtype=bool))]
    while waiting:
        part, units, signs = waiting.pop()
        values = lines[units] @ np.vstack([np.ones(len(part)), part.T])
        low = values.min(1)
        high = values.max(1)
        middle = low + high
        signs[units] = middle > 0
        crossing = np.flatnonzero((low < -least) & (high > least))
        if not len(crossing):
            yield part, signs
            continue
        nearest = crossing[np.abs(middle[crossing]).argmin()]  # about as much on either side
        others = units[crossing[crossing != nearest]]
        for side, above in zip(cut(part, values[nearest]), (True, False), strict=True):
            own = signs.copy()
            own[units[nearest]] = above
            waiting.append((side, others, own))


@dataclass(frozen=True, kw_only=True, eq=False)
class Decisions:
    """Of a piece: each class that wins somewhere, and where; the segments on which two are tied."""

    areas: Sequence[tuple[int, Float[ndarray, "_ 2"]]]
    ties: Sequence[Float[ndarray, "2 2"]]


def decided(piece: Piece) -> Decisions:
    """Where in a piece which class has the largest logit."""
    logits = _values(piece.logits, piece.corners)
    leaders = logits.argmax(0)
    if (leaders == leaders[0]).all():  # and so everywhere between the corners
        return Decisions(areas=[(int(leaders[0]), piece.corners)], ties=[])
    areas = [(k, _won(piece, k)) for k in _contenders(logits)]
    areas = [(k, corners) for k, corners in areas if len(corners) > 2]
    ties = [segment for k, corners in areas for segment in _ties(piece, k, corners)]
    return Decisions(areas=areas, ties=ties)


def _won(piece: Piece, k: int) -> Float[ndarray, "_ 2"]:
    """The part of a piece on which class k has the largest logit."""
    corners = piece.corners
    for other in piece.logits:
        lead = _values((piece.logits[k] - other)[None], corners)[0]
        if (lead < 0).any():
            corners = cut(corners, lead)[0]
    return corners


def _contenders(logits: Float[ndarray, "k m"]) -> list[int]:
    """The classes that no other beats at all corners, and so everywhere in the polygon."""
    ahead = np.all(logits[None] > logits[:, None], axis=2)
    return [int(k) for k in np.flatnonzero(~np.any(ahead, axis=1))]


def _values(maps: Float[ndarray, "k 3"], corners: Float[ndarray, "m 2"]) -> Float[ndarray, "k m"]:
    return np.asarray(maps[:, :1] + maps[:, 1:] @ corners.T)


def _ties(piece: Piece, k: int, corners: Float[ndarray, "m 2"]) -> Iterator[Float[ndarray, "2 2"]]:
    """The edges of class k's part at which a later class is as large."""
    logits = _values(piece.logits, corners)
    tied = np.abs(logits - logits[k]) <= TIED * np.abs(logits).max()
    along = tied & np.roll(tied, -1, axis=1)
    for j, i in zip(*np.nonzero(along), strict=True):
        if j > k:
            yield np.stack([corners[i], corners[(i + 1) % len(corners)]])
