"""How trainings went: what was followed, epoch by epoch."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaderboard.figures.runs import Case
from leaderboard.figures.style import labelled, legend_below, look, panels, plain, plain_log
from relu.errors import InputError

FOLLOWED: Mapping[str, tuple[str, float]] = {
    "loss": ("loss", 1.0),
    "clean_error": ("training error (%)", 100.0),
    "pgd_error": ("training error under PGD (%)", 100.0),
}
MARKS = 6  # markers on a line


def training_figure(case: Case) -> Figure:
    """Loss, clean error and error under PGD over the epochs, a line for each method.

    The first seed of each. Losses of different methods are not the same quantity.
    """
    histories = {
        label: case.runs.history(row) for label, row in zip(case.labels, case.rows, strict=True)
    }
    trained = {label: history for label, history in histories.items() if len(history)}
    if not trained:
        raise InputError("no network was trained by these runs")
    figure, axes = panels(len(FOLLOWED), height=2.4, most=3, width=2.3)
    for panel, (column, (said, scale)) in zip(axes, FOLLOWED.items(), strict=True):
        for i, (label, history) in enumerate(histories.items()):
            if len(history):
                _draw(panel, history, column, scale, label, i)
        panel.set(xlabel="epoch", ylabel=said)
        panel.grid(visible=True)
        panel.set_axisbelow(True)
        if column == "loss":
            panel.set_yscale("log")
            plain_log(panel.yaxis)
    legend_below(figure, labelled(axes[0]))
    return figure


def _draw(axes: Axes, history: pd.DataFrame, column: str, scale: float, label: str, i: int) -> None:
    own = look(i)
    axes.plot(
        history["epoch"],
        scale * history[column],
        color=own.color,
        linestyle=own.dash,
        marker=own.marker,
        markevery=max(1, len(history) // MARKS),
        markeredgecolor="white",
        markeredgewidth=0.5,
        label=plain(label),
    )
