"""Robust error over eps, between two bounds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaderboard.board.curves import curve_frame
from leaderboard.figures.runs import Case
from leaderboard.figures.style import Look, labelled, legend_below, look, one_panel, plain
from leaderboard.row import Row
from relu.threat import format_eps

FARTHEST = 3.0  # times eps: what lies beyond is of no threat
MARKS = 7  # markers on a line


def curves_figure(case: Case) -> Figure:
    """For each method the band from robust_error_low to robust_error_high; means over seeds.

    A band's upper edge (with markers) is the share of inputs without a certificate at eps, the
    lower (thin) that of inputs with an adversarial input: where they are one line, it is exact.
    """
    figure, axes = one_panel(2.9)
    eps = float(np.max(case.rows[0].eps))
    frames = [curve_frame([_intervals(case, row) for row in group]) for group in case.groups]
    farthest = _farthest(frames, FARTHEST * eps)
    for i, (frame, label) in enumerate(zip(frames, case.labels, strict=True)):
        _draw_band(axes, frame, plain(label), look(i), farthest, i / len(frames))
    axes.fill_between([], [], [], color="0.8", label="undecided")
    said = f"eps = {format_eps(eps)}"
    axes.axvline(eps, color="0.4", linewidth=0.8, linestyle=(0, (1, 1.5)), label=said)
    axes.set(
        xlim=(0, farthest),
        ylim=(0, 103),
        xlabel=f"eps ({case.rows[0].norm}, pixel units)",
        ylabel="robust error (%)",
    )
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    legend_below(figure, labelled(axes))
    return figure


def _intervals(case: Case, row: Row) -> tuple[np.ndarray, np.ndarray]:
    table = case.runs.judged(row).verdict.table
    return table["low"].to_numpy(), table["high"].to_numpy()


def _farthest(frames: Sequence[pd.DataFrame], most: float) -> float:
    """The eps at which all lower edges are at 1, or `most`."""
    ends = []
    for frame in frames:
        full = frame["eps"][frame["robust_error_low"] >= 1]
        ends.append(1.05 * float(full.iloc[0]) if len(full) else most)
    return min(most, max(ends))


def _draw_band(
    axes: Axes, frame: pd.DataFrame, label: str, own: Look, farthest: float, shift: float
) -> None:
    """Low holds from each eps on, high up to each eps (`curve_frame`)."""
    frame = frame[: int((frame["eps"] <= farthest).sum()) + 1]
    eps = np.append(frame["eps"].to_numpy(), max(farthest, frame["eps"].iloc[-1]))
    low = 100 * np.append(frame["robust_error_low"], frame["robust_error_low"].iloc[-1])
    high = 100 * np.append(frame["robust_error_high"], frame["robust_error_high"].iloc[-1])
    x = np.repeat(eps, 2)[1:-1]
    below = np.repeat(low[:-1], 2)
    above = np.repeat(high[1:], 2)
    axes.fill_between(
        x, below, above, color=own.color, alpha=0.18, linewidth=0, hatch=own.hatch or None
    )
    axes.plot(x, below, color=own.color, linewidth=0.6)
    axes.plot(x, above, color=own.color, linestyle=own.dash)
    axes.plot([], [], color=own.color, linestyle=own.dash, marker=own.marker, label=label)
    marked = (np.arange(MARKS) + shift) / MARKS * farthest
    places = np.interp(marked, x, above)
    axes.plot(marked, places, own.marker, color=own.color, markeredgecolor="white", mew=0.5)
