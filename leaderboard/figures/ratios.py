"""Sorted ratios of attacks' witnesses over exact radii [CAH19, Figure 4]."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from leaderboard import seed_groups
from leaderboard.figures.runs import Case
from leaderboard.figures.style import labelled, legend_below, look, one_panel, plain, plain_log
from leaderboard.ratios import Ratios, ratios
from relu.errors import InputError

FAR = 4.0  # a ratio beyond which the axis is logarithmic
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
    several = len({(curve.row.dataset, curve.row.arch) for curve in curves}) > 1
    for i, curve in enumerate(curves):
        row = curve.row
        where = f"{row.dataset} {row.arch} " if several else ""
        what = f"{where}{labels[row.group]}: {curve.label}"
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
    if max(curve.ratio[0] for curve in curves) > FAR:
        axes.set_yscale("log")
        plain_log(axes.yaxis)
    axes.axhline(1, color="black", linewidth=0.5)
    legend_below(figure, labelled(axes))
    return figure
