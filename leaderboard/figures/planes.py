"""Panels of a plane: its linear regions, the decisions and the inputs in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy import ndarray
from scipy import ndimage
from torch import nn

from leaderboard.figures.plane import Plane, contains, inside_box
from leaderboard.figures.sampled import Sampled, grid_of, sampled
from leaderboard.figures.style import MARKERS, legend_below, tints
from leaderboard.figures.subdivision import (
    MOST,
    Decisions,
    Piece,
    TooManyRegions,
    decided,
    linear_regions,
)
from relu.network.layers import Shape
from relu.network.reader import read_layers

THIN = 500  # regions: the edges of more are thinner
VECTORS = 3000  # polygons: more are pixels in the file
LEAST = 0.05  # of the side: half the width of an area that has room for its class
GRID = 80  # points a side, at which the middle of each class's area is looked for
HALO = [withStroke(linewidth=1.6, foreground="white")]


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice:
    """A network on a window of a plane, cut into its linear regions."""

    window: Float[ndarray, "m 2"]
    pieces: Sequence[Piece]
    decided: Sequence[Decisions]

    def classes(self, places: Float[ndarray, "n 2"]) -> ndarray:
        """The class of each place in the window; -1 beside all pieces."""
        found = np.full(len(places), -1)
        for decisions in self.decided:
            for k, corners in decisions.areas:
                found[_near(corners, places)] = k
        return found


def _near(corners: Float[ndarray, "m 2"], places: Float[ndarray, "n 2"]) -> ndarray:
    """The places inside a polygon, those in its bounding rectangle looked at alone."""
    close = np.flatnonzero(((places >= corners.min(0)) & (places <= corners.max(0))).all(1))
    return close[contains(corners, places[close])] if len(close) else close


def slice_of(
    net: nn.Module, plane: Plane, window: Float[ndarray, "m 2"], shape: Shape
) -> Slice | Sampled:
    """The network, in float64, on the window: its regions; point by point where they are too many.

    Raises InputError for what is no ReLU network.
    """
    layers = read_layers(net, shape)
    try:
        pieces = linear_regions(layers, plane, shape, window)
    except TooManyRegions:
        return sampled(layers, plane, shape, window)
    return Slice(window=window, pieces=pieces, decided=[decided(piece) for piece in pieces])


def count_of(whole: Slice | Sampled) -> str:
    """How many linear regions there are."""
    if isinstance(whole, Sampled):
        return f"> {MOST} regions"
    return f"{len(whole.pieces)} region{'s' * (len(whole.pieces) > 1)}"


def draw_slice(axes: Axes, whole: Slice | Sampled) -> None:
    """Regions as a chess board in their class's colour, and the decision boundary, thick."""
    if isinstance(whole, Sampled):
        _draw_sampled(axes, whole)
    else:
        _draw_pieces(axes, whole)
    low = whole.window.min(0)
    high = whole.window.max(0)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.tick_params(length=2)


def _draw_pieces(axes: Axes, whole: Slice) -> None:
    colors = tints()
    areas = [
        (corners, colors(_tint(k, piece.parity)))
        for piece, decisions in zip(whole.pieces, whole.decided, strict=True)
        for k, corners in decisions.areas
    ]
    many = len(areas) > VECTORS
    whole_areas = PolyCollection(
        [corners for corners, _ in areas],
        facecolors=[color for _, color in areas],
        edgecolors="face",
        linewidths=0.1,
        rasterized=many,
    )
    edges = PolyCollection(
        [piece.corners for piece in whole.pieces],
        facecolors="none",
        edgecolors="0.35",
        linewidths=0.25 * min(1.0, (THIN / len(whole.pieces)) ** 0.5),
        rasterized=many,
        gid="regions",
    )
    ties = [segment for decisions in whole.decided for segment in decisions.ties]
    boundary = LineCollection(
        ties, colors="black", linewidths=1.5, capstyle="round", gid="decisions"
    )
    for collection in (whole_areas, edges, boundary):
        axes.add_collection(collection)


def _tint(k: Any, parity: Any) -> Any:
    """The place of a class's lighter or light tint."""
    return 2 * (k % (tints().N // 2)) + parity


def _draw_sampled(axes: Axes, whole: Sampled) -> None:
    low = whole.window.min(0)
    high = whole.window.max(0)
    leaders = whole.logits.argmax(2)
    axes.imshow(
        tints()(_tint(leaders, whole.parity)),
        extent=(low[0], high[0], low[1], high[1]),
        origin="lower",
        interpolation="nearest",
    )
    grid = grid_of(whole.window, len(leaders)).reshape(*leaders.shape, 2)
    for k in np.unique(leaders):
        others = np.delete(whole.logits, k, axis=2).max(2)
        lead = whole.logits[:, :, k] - others
        axes.contour(grid[..., 0], grid[..., 1], lead, levels=[0.0], colors="black", linewidths=1.5)


def draw_classes(axes: Axes, whole: Slice | Sampled, taken: ndarray | None = None) -> None:
    """The class of each connected area that is not too small, in its middle.

    taken: places that are kept clear.
    """
    grid = grid_of(whole.window, GRID)
    classes = whole.classes(grid).reshape(GRID, GRID)
    cell = np.ptp(whole.window, axis=0) / GRID
    clear = _distances(grid, taken, cell).reshape(GRID, GRID)
    for k in np.unique(classes[classes >= 0]):
        areas, count = ndimage.label(classes == k)
        for area in range(1, count + 1):
            depth = ndimage.distance_transform_edt(np.pad(areas == area, 1))[1:-1, 1:-1]
            if depth.max() >= LEAST * GRID:
                s, t = grid[int(np.minimum(depth, clear).argmax())]
                axes.text(s, t, str(k), ha="center", va="center", fontsize=7, path_effects=HALO)


def _distances(grid: ndarray, taken: ndarray | None, cell: ndarray) -> ndarray:
    """In cells of the grid, how far each of its points is from the places that are taken."""
    if taken is None:
        return np.full(len(grid), np.inf)
    return np.asarray(np.linalg.norm((grid[:, None] - taken) / cell, axis=2).min(1))


def draw_box(axes: Axes, plane: Plane, window: ndarray, box: tuple[float, float]) -> None:
    """Where the plane leaves the box of images, if it does inside the window."""
    corners = inside_box(plane, window, box)
    if len(corners) > 2:
        closed = np.vstack([corners, corners[:1]])
        axes.plot(*closed.T, color="0.25", linestyle=(0, (1, 1.5)), linewidth=0.9, gid="box")


def draw_inputs(axes: Axes, places: Float[ndarray, "n 2"]) -> None:
    """Inputs of the plane, each with a marker of its own."""
    for i, place in enumerate(places):
        axes.plot(
            *place,
            MARKERS[i % len(MARKERS)],
            color="white",
            markeredgecolor="black",
            markersize=5,
            markeredgewidth=1,
            zorder=5,
        )


def explain(figure: Figure, inputs: Sequence[str], *, box: bool = True) -> None:
    """The legend of panels of planes; inputs: what the markers are."""
    lines = [
        Line2D([], [], color="black", linewidth=1.5, label="decision boundary"),
        Line2D([], [], color="0.35", linewidth=0.4, label="edge of a linear region"),
    ]
    if box:
        dots = (0, (1, 1.5))
        lines.append(Line2D([], [], color="0.25", linestyle=dots, label="edge of the pixels' box"))
    for i, said in enumerate(inputs):
        lines.append(
            Line2D(
                [],
                [],
                linestyle="",
                marker=MARKERS[i % len(MARKERS)],
                color="white",
                markeredgecolor="black",
                label=said,
            )
        )
    legend_below(figure, lines)
