"""The page's charts: clean against robust error, robust error over eps, training."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from leaderboard import seed_groups
from leaderboard.board.curves import curve_frame
from leaderboard.page.drawing import INK, LINES, MARKERS, METHODS, SIGNS, new_figure, style, to_svg
from leaderboard.page.subjects import Subject, panel_title

RADII = 96  # at which curves are drawn
EPOCHS = 100  # of which trainings are drawn, where they have more
PANELS = 12  # data sets and threats that are drawn


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart of one data set and threat.

    kind: errors, curve or training; name: no other's; rows: what it is about, by number; legend:
    methods with the place of their colour and their rows.
    """

    kind: str
    name: str
    title: str
    svg: Markup
    rows: tuple[int, ...]
    legend: tuple[Mapping[str, Any], ...]


def colours(subjects: Sequence[Subject]) -> dict[str, int]:
    """Method label -> its place among colours and markers."""
    return {label: i for i, label in enumerate(dict.fromkeys(s.row.label for s in subjects))}


def charts(subjects: Sequence[Subject]) -> list[Chart]:
    """The charts of the first PANELS data sets and threats, those of one together."""
    known = colours(subjects)
    drawn = []
    for panel in range(PANELS):
        inside = [subject for subject in subjects if subject.panel == panel]
        for draw in (_errors, _curves, _training):
            with style():
                chart = draw(inside, known, panel) if inside else None
            drawn += [chart] if chart else []
    return drawn


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points of which no other is smaller in one coordinate and not larger in the other."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(points):
        if not front or y < front[-1][1]:
            front.append((x, y))
    return front


def percent(share: float) -> str:
    """As people write it."""
    return f"{100 * share:.2f} %"


def _errors(subjects: Sequence[Subject], known: Mapping[str, int], panel: int) -> Chart | None:
    """Test error against robust error: a bar from one bound to the other for each row."""
    figure, axes = new_figure()
    said: dict[str, str] = {}
    points = []
    for subject in subjects:
        row = subject.row
        low = row.robust_error_low
        high = row.robust_error_high
        if row.test_error is None or low is None or high is None:
            continue
        points.append((100 * row.test_error, 100 * high))
        gid = f"e{panel}-{subject.number}"
        said[gid] = (
            f"{subject.label}: test error {percent(row.test_error)}, "
            f"robust error {percent(low)} to {percent(high)}"
        )
        place = known[row.label]
        axes.plot(
            [points[-1][0]] * 2,
            [100 * low, 100 * high],
            color=METHODS[place % len(METHODS)],
            marker=MARKERS[place // len(METHODS) % len(MARKERS)],
            markersize=6,
            linewidth=2,
            clip_on=False,
            gid=gid,
            zorder=3,
        )
    if not points:
        return None
    front = pareto(points)
    axes.step(*zip(*front, strict=True), where="post", color=INK, linewidth=1, linestyle=":")
    axes.margins(0.08)
    axes.set(xlabel="test error (%)", ylabel="robust error (%)")
    return _chart("errors", subjects, known, figure, said)


def _curves(subjects: Sequence[Subject], known: Mapping[str, int], panel: int) -> Chart | None:
    """Robust error over eps: a band between the bounds for each method, a mean over its seeds."""
    judged = [subject for subject in subjects if subject.judged is not None]
    if not judged:
        return None
    figure, axes = new_figure()
    said: dict[str, str] = {}
    grid = _radii(judged)
    for group in _groups(judged):
        gid = f"c{panel}-{'-'.join(str(subject.number) for subject in group)}"
        said[gid] = said[f"{gid}-"] = f"{group[0].label}: robust error over eps"
        _band(axes, group, grid, known[group[0].row.label], gid)
    eps = judged[0].row.eps
    if not isinstance(eps, tuple):
        axes.axvline(eps, color=INK, linewidth=1, linestyle=":")
    axes.set(xlabel="eps", ylabel="robust error (%)", xlim=(0, grid[-1]), ylim=(0, 102))
    return _chart("curve", judged, known, figure, said)


def _band(axes: Any, group: Sequence[Subject], grid: np.ndarray, place: int, gid: str) -> None:
    tables = [subject.judged.verdict.table for subject in group if subject.judged is not None]
    pairs = [(table["low"].to_numpy(), table["high"].to_numpy()) for table in tables]
    frame = curve_frame(pairs, list(grid))
    low, high = (100 * frame[f"robust_error_{end}"].to_numpy().round(5) for end in ("low", "high"))
    colour = METHODS[place % len(METHODS)]
    line = LINES[place // len(METHODS) % len(LINES)]
    axes.fill_between(grid, low, high, color=colour, alpha=0.25, linewidth=0, gid=f"{gid}-")
    axes.plot(grid, high, line, color=colour, linewidth=1.5, gid=gid)


def _radii(judged: Sequence[Subject]) -> np.ndarray:
    """From 0 to where most of what is known of the rows has been passed."""
    bounds = [s.inputs[end].to_numpy() for s in judged for end in ("low", "high")]
    finite = np.concatenate([bound[np.isfinite(bound)] for bound in bounds])
    eps = np.max([np.max(subject.row.eps) for subject in judged])
    most = float(np.quantile(finite, 0.99)) if len(finite) else 0.0
    return np.linspace(0, max(most, 1.5 * float(eps)) or 1.0, RADII)


def _groups(subjects: Sequence[Subject]) -> list[list[Subject]]:
    """Those that differ in nothing but their seed."""
    of_row = {id(subject.row): subject for subject in subjects}
    grouped = seed_groups.groups([subject.row for subject in subjects])
    return [[of_row[id(row)] for row in rows] for rows in grouped]


def _training(subjects: Sequence[Subject], known: Mapping[str, int], panel: int) -> Chart | None:
    """Clean and adversarial error on training inputs, epoch by epoch."""
    figure, axes = new_figure()
    said: dict[str, str] = {}
    trained = [s for s in subjects if {"epoch", "clean_error"} <= {*s.history.columns}]
    for subject in trained:
        step = math.ceil(len(subject.history) / EPOCHS)
        history = subject.history.iloc[::step]
        colour = METHODS[known[subject.row.label] % len(METHODS)]
        for name, line in (("clean_error", "-"), ("pgd_error", "--")):
            if name in history and history[name].notna().any():
                gid = f"t{panel}{name[0]}-{subject.number}"
                said[gid] = f"{subject.label}: {_last(history, name)}"
                values = 100 * history[name].astype(float)
                axes.plot(history["epoch"], values, line, color=colour, linewidth=1.3, gid=gid)
    if not said:
        return None
    axes.set(xlabel="epoch", ylabel="error on training inputs (%)", ylim=(0, 102))
    return _chart("training", trained, known, figure, said)


def _last(history: Any, name: str) -> str:
    """What the error was at the end."""
    what = {"clean_error": "clean error", "pgd_error": "error under PGD"}[name]
    return f"{what} on training inputs, {percent(float(history[name].dropna().iloc[-1]))} at last"


def _chart(
    kind: str,
    subjects: Sequence[Subject],
    known: Mapping[str, int],
    figure: Any,
    said: Mapping[str, str],
) -> Chart:
    title = panel_title(subjects[0].row)
    name = f"{kind}-{subjects[0].panel}"
    return Chart(
        kind=kind,
        name=name,
        title=title,
        svg=to_svg(figure, name, title, said),
        rows=tuple(subject.number for subject in subjects),
        legend=tuple(_legend(subjects, known)),
    )


def _legend(subjects: Sequence[Subject], known: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """A colour and a sign for each method's label, and the rows that have it."""
    for label in dict.fromkeys(subject.row.label for subject in subjects):
        own = [subject.number for subject in subjects if subject.row.label == label]
        place = known[label]
        sign = SIGNS[place // len(METHODS) % len(SIGNS)]
        yield {"label": label, "colour": place % len(METHODS), "sign": sign, "rows": own}
