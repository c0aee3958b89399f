"""Planes in the space of inputs, and convex polygons in them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from relu.errors import InputError

FLAT = 1e-6  # of the longest side: below it, three points are as good as on a line


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane:
    """The points origin + s first + t second, with first and second orthonormal in l2."""

    origin: Float[ndarray, " d"]
    first: Float[ndarray, " d"]
    second: Float[ndarray, " d"]

    def at(self, places: Float[ndarray, "n 2"]) -> Float[ndarray, "n d"]:
        """The points at (s, t)."""
        return np.asarray(self.origin + places @ np.stack([self.first, self.second]))

    def places(self, points: Float[ndarray, "n d"]) -> Float[ndarray, "n 2"]:
        """(s, t) of points, of their projections where they lie beside the plane."""
        return np.asarray((points - self.origin) @ np.stack([self.first, self.second], axis=1))


def plane_through(
    a: Float[ndarray, " d"], b: Float[ndarray, " d"], c: Float[ndarray, " d"]
) -> Plane:
    """The plane through three points, a at (0, 0), b at (|b - a|, 0). Raises InputError."""
    first = b - a
    longest = max(np.linalg.norm(first), np.linalg.norm(c - a))
    if not np.linalg.norm(first) > FLAT * longest:
        raise InputError("two of the three inputs of the plane are the same")
    first = first / np.linalg.norm(first)
    second = c - a - first * np.dot(first, c - a)
    if not np.linalg.norm(second) > FLAT * longest:
        raise InputError("the three inputs of the plane lie on one line")
    return Plane(origin=a, first=first, second=second / np.linalg.norm(second))


def rectangle(low: Float[ndarray, "2"], high: Float[ndarray, "2"]) -> Float[ndarray, "4 2"]:
    """The corners of a rectangle, in order."""
    return np.array([low, (high[0], low[1]), high, (low[0], high[1])])


def window_around(places: Float[ndarray, "n 2"], *, margin: float) -> Float[ndarray, "4 2"]:
    """The square around points, with a margin on each side in shares of its side."""
    low = places.min(0)
    high = places.max(0)
    half = (0.5 + margin) * (high - low).max()
    middle = (low + high) / 2
    return rectangle(middle - half, middle + half)


def cut(
    corners: Float[ndarray, "m 2"], values: Float[ndarray, " m"]
) -> tuple[Float[ndarray, "_ 2"], Float[ndarray, "_ 2"]]:
    """A convex polygon where an affine function is above 0, and where it is not.

    values: the function at the corners.
    """
    above = values > 0
    following = np.roll(values, -1)
    crossing = above != (following > 0)
    share = values / np.where(crossing, values - following, 1.0)
    between = corners + (np.roll(corners, -1, axis=0) - corners) * share[:, None]
    both = np.stack([corners, between], axis=1).reshape(-1, 2)
    kept = [np.stack([side, crossing], axis=1).ravel() for side in (above, ~above)]
    return both[kept[0]], both[kept[1]]


def area(corners: Float[ndarray, "m 2"]) -> float:
    """Of a polygon, by the shoelace formula; 0 for an empty one."""
    after = np.roll(corners, -1, axis=0)
    return float(abs(np.sum(corners[:, 0] * after[:, 1] - corners[:, 1] * after[:, 0])) / 2)


def contains(corners: Float[ndarray, "m 2"], places: Float[ndarray, "n 2"]) -> Bool[ndarray, " n"]:
    """Which points lie in a convex polygon, its edges included."""
    sides = np.roll(corners, -1, axis=0) - corners
    to = places[:, None] - corners
    turns = sides[:, 0] * to[:, :, 1] - sides[:, 1] * to[:, :, 0]
    return np.asarray((turns >= 0).all(1) | (turns <= 0).all(1))


def inside_box(
    plane: Plane, corners: Float[ndarray, "m 2"], box: tuple[float, float]
) -> Float[ndarray, "_ 2"]:
    """The part of a convex polygon whose points have all pixels in the box."""
    for edge, sign in ((box[0], 1.0), (box[1], -1.0)):
        for start, *slope in zip(plane.origin, plane.first, plane.second, strict=True):
            values = sign * (start - edge + corners @ np.array(slope))
            if len(corners) and (values < 0).any():
                corners = cut(corners, values)[0]
    return corners
