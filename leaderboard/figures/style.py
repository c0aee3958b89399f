"""How figures look: legible in a column, in grey, and by the colour-blind; and their files.

Whatever a colour says, a dash, a marker, a hatch, a lightness or a word says, too.
"""

import functools
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

COLUMN = 3.4  # inches: a column of a paper in two columns
PAGE = 7.0  # inches: both of them
SETTLING = 3  # layouts, until panels of a fixed shape and what is around them fit
LETTER = 3.6  # points: the mean width of a letter of a legend
HANDLE = 30.0  # points: the line before it, and the space around both
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours without the yellow, which is lost on white"""
DASHES: Sequence[Any] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "++++", "oooo")
SETTINGS: Mapping[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "legend.handlelength": 2.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.grid": False,
    "grid.linewidth": 0.4,
    "grid.color": "0.88",
    "hatch.linewidth": 0.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "pdf.fonttype": 42,  # letters stay letters
    "svg.hashsalt": "relu-bench",  # random names otherwise
    "savefig.dpi": 300,  # of what is drawn as pixels inside the vectors
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """How what belongs to one method is drawn."""

    color: str
    dash: Any
    marker: str
    hatch: str


def look(i: int) -> Look:
    """The look of the i-th method; no two of the first 280 are the same in line and marker."""
    return Look(
        color=PALETTE[i % len(PALETTE)],
        dash=DASHES[i % len(DASHES)],
        marker=MARKERS[i % len(MARKERS)],
        hatch=HATCHES[i % len(HATCHES)],
    )


SIGNED = "cividis"
"""from dark blue over grey to light yellow: signs can be told in grey, and by the colour-blind"""


LIGHT = (0.76, 0.93)


@functools.cache
def tints() -> ListedColormap:
    """A light and a lighter tint of each class's colour, for areas under lines and words.

    All light ones are one grey in print, and all lighter ones another.
    """
    colors = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
    whole = (*colors, "#999999", "#8DA0CB", "#A6761D")
    return ListedColormap([_tinted(color, light) for color in whole for light in LIGHT])


def _tinted(color: str, light: float) -> tuple[float, ...]:
    """The colour, mixed with white or black to that lightness (ITU-R BT.601)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    own = sum(weight * part for weight, part in zip((0.299, 0.587, 0.114), parts, strict=True))
    if own > light:
        return tuple(part * light / own for part in parts)
    white = (light - own) / (1 - own)
    return tuple(part + white * (1 - part) for part in parts)


def plain(text: str) -> str:
    """The text as it is, where matplotlib would read a formula."""
    return text.replace("$", r"\$")


@contextmanager
def styled() -> Iterator[None]:
    """Within it, figures are drawn and written in our style."""
    with rc_context(cast(Any, dict(SETTINGS))):
        yield


def one_panel(height: float = 2.6) -> tuple[Figure, Axes]:
    """A figure as wide as a column, and its axes; the legend goes below it (`legend_below`)."""
    figure = Figure(figsize=(COLUMN, height), layout="constrained")
    return figure, figure.subplots()


def panels(
    count: int, *, height: float, most: int = 4, width: float = PAGE / 4
) -> tuple[Figure, list[Axes]]:
    """A figure of several panels of that height, at most `most` in a line, and their axes."""
    across = min(count, most)
    down = -(-count // across)
    legend = 0.5 if across * width < PAGE / 1.5 else 0.0  # inches: it has more lines there
    size = (max(COLUMN, across * width), down * height + legend)
    figure = Figure(figsize=size, layout="constrained")
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def legend_below(figure: Figure, handles: Sequence[Any]) -> None:
    """What the handles have labels for, below the figure, in as many columns as fit."""
    if handles:
        longest = max(len(str(handle.get_label())) for handle in handles)
        points = 72 * figure.get_figwidth() / (LETTER * longest + HANDLE)
        columns = max(1, min(len(handles), int(points)))
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)


def labelled(axes: Axes) -> list[Any]:
    """The artists of the axes that have a label."""
    return list(axes.get_legend_handles_labels()[0])


def plain_log(axis: Axis) -> None:
    """A logarithmic axis with ticks at 1, 2, 5, ..., in plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def to_files(name: str, figure: Figure) -> dict[str, bytes]:
    """NAME.svg and NAME.pdf, the same bytes for the same figure."""
    return {
        f"{name}.svg": _written(figure, "svg", {"Date": None}),
        f"{name}.pdf": _written(figure, "pdf", {"CreationDate": None}),
    }


def to_svg(figure: Figure) -> str:
    """The figure as SVG, the same text for the same figure."""
    return _written(figure, "svg", {"Date": None}).decode()


def _written(figure: Figure, kind: str, metadata: dict[str, Any]) -> bytes:
    drawn = io.BytesIO()
    with styled():
        for _ in range(SETTLING):
            figure.draw_without_rendering()
        figure.savefig(drawn, format=kind, metadata=metadata)
    return drawn.getvalue()
