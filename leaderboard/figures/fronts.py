"""Clean against robust error: networks with both bounds, and what no other one beats."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.search.front import errors_of, undominated
from bench.search.tune import Trial
from leaderboard.figures.runs import Case
from leaderboard.figures.style import Look, labelled, legend_below, look, one_panel, plain
from leaderboard.fronts import Fronts, rows_label
from leaderboard.row import Row
from relu.errors import InputError

Points = Sequence[Trial[Row]]


def fronts_figure(case: Case) -> Figure:
    """The case's networks, those of one method with one marker; means over seeds."""
    by_method: dict[str, list[Trial[Row]]] = {}
    for group in case.groups:
        trial = Trial[Row](values={}, rows=tuple(group))
        if trial.whole:
            by_method.setdefault(group[0].label, []).append(trial)
    if not by_method:
        raise InputError("no network of the runs is judged whole")
    return _drawn(by_method)


def fronts_of_trials(tested: Fronts) -> Figure:
    """The same of a search's trials."""
    whole = {rows_label(trials): [t for t in trials if t.whole] for trials in tested.values()}
    return _drawn({label: trials for label, trials in whole.items() if trials})


def _drawn(by_method: Mapping[str, Points]) -> Figure:
    figure, axes = one_panel(2.9)
    for i, (label, trials) in enumerate(by_method.items()):
        _draw_points(axes, label, trials, look(i))
        if len(by_method) > 1:
            _draw_own_front(axes, trials, look(i))
    _draw_front(axes, [trial for trials in by_method.values() for trial in trials])
    axes.set(xlabel="test error (%)", ylabel="robust error (%)")
    axes.margins(0.08)
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    legend_below(figure, labelled(axes))
    return figure


def _draw_own_front(axes: Axes, trials: Points, own: Look) -> None:
    points = sorted(errors_of(trial) for trial in undominated(trials))
    if len(points) > 1:
        x, y = zip(*((100 * a, 100 * b) for a, b in points), strict=True)
        axes.plot(x, y, color=own.color, linestyle=own.dash, linewidth=0.8)


def _draw_points(axes: Axes, label: str, trials: Points, own: Look) -> None:
    """Markers at upper bounds, bars down to lower ones."""
    clean = [100 * errors_of(trial)[0] for trial in trials]
    high = [100 * errors_of(trial)[1] for trial in trials]
    low = [100 * (trial.mean("robust_error_low") or 0.0) for trial in trials]
    axes.vlines(clean, low, high, color=own.color, linewidth=1.6, alpha=0.6)
    axes.plot(
        clean, high, own.marker, color=own.color, label=plain(label), mec="white", mew=0.5, ms=5.5
    )


def _draw_front(axes: Axes, trials: Points) -> None:
    """What no network beats in both errors lies on the stairs or below them."""
    front = sorted(errors_of(trial) for trial in undominated(trials))
    x = [100 * clean for clean, _ in front]
    y = [100 * robust for _, robust in front]
    if len(front) > 1:
        axes.step(x, y, where="post", color="0.3", linewidth=0.8, label="front of all", zorder=1)
