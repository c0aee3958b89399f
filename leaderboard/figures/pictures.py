"""Grids of small pictures, a line for each network."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from leaderboard.figures.style import COLUMN, PAGE, SIGNED, plain

SIDE = 0.42  # inches of a picture


def picture_grid(titles: Sequence[str], columns: int) -> tuple[Figure, np.ndarray]:
    """A figure of lines of pictures, each with its title on the left; axes (lines, columns)."""
    named = 0.09 * max(len(part) for title in titles for part in title.split("\n"))
    width = min(PAGE, max(COLUMN, SIDE * columns + named))
    side = (width - named) / columns
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
    figure = Figure(figsize=(width, (side + 0.04) * len(titles) + 0.6), layout=layout)
    axes = np.asarray(figure.subplots(len(titles), columns, squeeze=False))
    for line, title in zip(axes, titles, strict=True):
        line[0].set_ylabel(plain(title), rotation=0, ha="right", va="center", fontsize=7)
        for one in line:
            one.set(xticks=[], yticks=[])
            one.spines[:].set_visible(False)
    return figure, axes


def draw_image(axes: Axes, image: np.ndarray) -> None:
    """An image of one or three channels, pixels in [0, 1]; of others the mean of all."""
    if len(image) == 3:
        axes.imshow(np.moveaxis(image, 0, -1).clip(0, 1), interpolation="nearest")
    else:
        axes.imshow(image.mean(0), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")


def draw_signed(axes: Axes, values: np.ndarray, largest: float) -> None:
    """Numbers around zero; NaN is left white."""
    axes.imshow(values, cmap=SIGNED, vmin=-largest, vmax=largest, interpolation="nearest")


def explain_signs(figure: Figure, axes: np.ndarray, said: str) -> None:
    """The scale of `draw_signed`, from the most negative over zero to the most positive."""
    colors = ScalarMappable(Normalize(-1, 1), cmap=SIGNED)
    bar = figure.colorbar(
        colors, ax=list(axes.flat), location="bottom", shrink=0.5, aspect=30, pad=0.03
    )
    bar.set_ticks([-1, 0, 1], labels=["negative", "0", "positive"])
    bar.set_label(said, fontsize=7)
    bar.ax.tick_params(length=2)
