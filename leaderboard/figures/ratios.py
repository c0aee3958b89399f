"""Sorted ratios of attacks' witnesses over exact radii [CAH19, Figure 4]."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from leaderboard import seed_groups
from leaderboard.figures.runs import Case
from leaderboard.figures.style import legend_below, look, one_panel, plain
from leaderboard.ratios import Ratios, ratios
from relu.errors import InputError

MARKS = 6  # markers on a line


def ratios_of_case(case: Case) -> Figure:
    """A curve for each evaluator with witnesses beyond exact radii, on each network."""
    judged = [(row, case.runs.judged(row)) for row in case.rows]
    curves = [curve for curve in ratios(judged) if curve.ratio[0] > 1]
    if not curves:
        raise InputError(
            "no attack has a witness farther than an exact radius: evaluators without a cascade "
            "see all inputs (run --no-cascade --eval region,cw,...)"
        )
    return ratios_figure(curves)


def ratios_figure(curves: Sequence[Ratios]) -> Figure:
    """Each curve's ratios, descending."""
    figure, axes = one_panel(3.0)
    labels = seed_groups.labels([curve.row for curve in curves])
    for i, curve in enumerate(curves):
        row = curve.row
        what = f"{row.dataset} {row.arch} {labels[row.group]}: {curve.label}"
        count = len(curve.ratio)
        axes.plot(
            np.arange(1, count + 1),
            curve.ratio,
            label=plain(what),
            color=look(i).color,
            linestyle=look(i).dash,
            marker=look(i).marker,
            markevery=(0, max(1, count // MARKS)),
            markeredgecolor="white",
            markeredgewidth=0.5,
        )
    axes.set(xlabel="test inputs with exact radius, sorted", ylabel="witness / exact radius")
    axes.axhline(1, color="black", linewidth=0.5)
    legend_below(figure, axes)
    return figure
