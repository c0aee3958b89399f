"""What training does for exact solvers: their time and what they leave open [CAH19, Figure 3]."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from leaderboard.figures.runs import Case
from leaderboard.figures.style import labelled, legend_below, look, panels, plain, plain_log
from leaderboard.row import Row
from relu.errors import InputError

BOUNDS = {"lower": "v", "upper": "^"}
DODGE = 0.12  # of the distance of two weights: solvers that agree are seen beside each other
WEIGHT = "weight"  # the setting of a method, or of the one that it holds, that is lambda


@dataclass(frozen=True, kw_only=True)
class Solved:
    """Of one solver, over the values of a weight; means over seeds.

    seconds: of an input that it worked on. low, high: shares of all inputs that it answered so
    itself, misclassified ones included. undecided: what lies between.
    """

    label: str
    weight: np.ndarray
    seconds: np.ndarray
    low: np.ndarray
    high: np.ndarray


def solved_of(case: Case) -> dict[str, list[Solved]]:
    """Method and setting -> its solvers, of methods that were run with several weights."""
    found = {}
    for field, groups in _sweeps(case).items():
        rows = [row for _, group in groups for row in group]
        names = dict.fromkeys(name for row in rows for name in row.contributions)
        solvers = [name for name in names if _answers_both_ways(rows, name)]
        if solvers:
            found[field] = [_solved(case, groups, name) for name in solvers]
    return found


def _sweeps(case: Case) -> Mapping[str, Sequence[tuple[float, Sequence[Row]]]]:
    """Method and setting -> the weights, ascending, and the networks with each."""
    fields = {}
    for row in case.rows:
        for name, value in row.settings.items():
            if name.rpartition(".")[2] == WEIGHT and isinstance(value, int | float):
                fields[f"{row.label}: {name}"] = row.method, name
    sweeps = {}
    for said, (method, name) in fields.items():
        groups = [g for g in case.groups if g[0].method == method and name in g[0].settings]
        weighted = sorted(((float(g[0].settings[name]), g) for g in groups), key=lambda p: p[0])
        if len({weight for weight, _ in weighted}) == len(weighted) > 1:
            sweeps[said] = weighted
    return sweeps


def _answers_both_ways(rows: Sequence[Row], name: str) -> bool:
    """Whether an evaluator saw every input of every network, and both attacks and certifies."""
    if any(row.cascade or name not in row.contributions for row in rows):
        return False
    parts = [row.contributions[name] for row in rows]
    return sum(part.fooled for part in parts) > 0 and sum(part.certified for part in parts) > 0


def _solved(case: Case, groups: Sequence[tuple[float, Sequence[Row]]], name: str) -> Solved:
    numbers = [np.mean([_numbers(case, row, name) for row in group], axis=0) for _, group in groups]
    seconds, low, high = np.array(numbers).T
    return Solved(
        label=groups[0][1][0].evaluator_labels[name],
        weight=np.array([weight for weight, _ in groups]),
        seconds=seconds,
        low=low,
        high=high,
    )


def _numbers(case: Case, row: Row, name: str) -> tuple[float, float, float]:
    part = row.contributions[name]
    correct = int(case.runs.judged(row).correct.sum())
    wrong = row.points - correct
    seconds = row.seconds[name] / max(1, part.worked)
    return seconds, (wrong + part.fooled) / row.points, 1 - part.certified / row.points


def solving_figure(case: Case) -> Figure:
    """Left: seconds per input, logarithmic. Right: lower and upper bounds on robust error."""
    solved = solved_of(case)
    if not solved:
        raise InputError(
            "no method was run with several weights and judged by an exact solver without a "
            "cascade (run --suite figure3_small)"
        )
    figure, axes = panels(2 * len(solved), height=2.3, most=2, width=3.2)
    for i, (field, solvers) in enumerate(solved.items()):
        left, right = axes[2 * i : 2 * i + 2]
        _draw_seconds(left, solvers)
        _draw_bounds(right, solvers)
        for panel in (left, right):
            _weights(panel, solvers[0].weight, f"{plain(field)} (λ)")
    legend_below(figure, labelled(axes[0]) + _bound_handles())
    return figure


def _draw_seconds(axes: Axes, solvers: Sequence[Solved]) -> None:
    for i, one in enumerate(solvers):
        own = look(i)
        axes.plot(
            range(len(one.weight)),
            one.seconds,
            color=own.color,
            linestyle=own.dash,
            marker=own.marker,
            label=plain(one.label),
        )
    axes.set(yscale="log", ylabel="seconds per input")
    plain_log(axes.yaxis)


def _draw_bounds(axes: Axes, solvers: Sequence[Solved]) -> None:
    for i, one in enumerate(solvers):
        own = look(i)
        x = np.arange(len(one.weight)) + DODGE * (i - (len(solvers) - 1) / 2)
        share = (100 * one.low, 100 * one.high)
        axes.fill_between(x, *share, color=own.color, alpha=0.2, linewidth=0)
        for values, mark in zip(share, BOUNDS.values(), strict=True):
            axes.plot(x, values, color=own.color, linestyle=own.dash, marker=mark)
    axes.set(ylim=(0, 103), ylabel="robust error (%)")


def _bound_handles() -> list[Line2D]:
    return [
        Line2D([], [], color="0.3", linestyle="", marker=mark, label=f"{said} bound")
        for said, mark in BOUNDS.items()
    ]


def _weights(axes: Axes, weights: np.ndarray, field: str) -> None:
    """Weights, evenly apart whatever their size."""
    axes.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights])
    axes.set(xlabel=field)
    axes.grid(visible=True, axis="y")
    axes.set_axisbelow(True)
