"""Linear regions and decisions in a plane through three test inputs [CAH19, Figure 2c, d]."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from leaderboard.figures.plane import Plane, plane_through, rectangle, window_around
from leaderboard.figures.planes import (
    count_of,
    draw_box,
    draw_classes,
    draw_inputs,
    draw_slice,
    explain,
    slice_of,
)
from leaderboard.figures.runs import Case
from leaderboard.figures.style import PAGE, panels, plain
from relu.errors import InputError

MARGIN = 0.2
DISTANCE = "l2 distance (pixel units)"


def regions_figure(case: Case) -> Figure:
    """A panel for each network: its linear regions in one plane, the same for all.

    The plane goes through the inputs that were asked for, and else the first judged ones of three
    classes (the paper takes three training images). Neighbouring regions differ in one unit, so
    their shade says whether the number of active units is odd. Where there are more than can be
    seen apart, shades and boundary are those of points of a grid. Inputs of two pixels are a plane.
    """
    row = case.rows[0]
    shape = case.runs.shape(row)
    chosen = _three(case) if math.prod(shape) > 2 else []
    points = case.runs.images(row, chosen).flatten(1).numpy()
    plane, window = _plane(points) if chosen else _whole_plane(row.threat.box)
    figure, axes = panels(len(case.groups), height=2.1, width=PAGE / 3.6)
    for one, label, panel in zip(case.rows, case.labels, axes, strict=True):
        whole = slice_of(case.runs.network(one), plane, window, shape)
        draw_slice(panel, whole)
        draw_classes(panel, whole, plane.places(points) if chosen else None)
        if chosen:
            draw_box(panel, plane, window, row.threat.box)
            draw_inputs(panel, plane.places(points))
        panel.set_title(f"{plain(label)}: {count_of(whole)}")
        panel.set_xlabel(DISTANCE if chosen else "first pixel")
    y = case.runs.inputs(row)["y"]
    explain(figure, [f"input {i}, class {y[i]}" for i in chosen], box=bool(chosen))
    return figure


def _three(case: Case) -> list[int]:
    """The inputs of the plane: those asked for, then the first of classes that are not there."""
    y = case.runs.inputs(case.rows[0])["y"]
    chosen = [i for i in case.inputs if i in y.index][:3]
    for index, label in y.items():
        if len(chosen) < 3 and label not in [y[i] for i in chosen]:
            chosen.append(int(str(index)))
    for index in y.index:  # of fewer than three classes
        if len(chosen) < 3 and index not in chosen:
            chosen.append(int(index))
    if len(chosen) < 3:
        raise InputError("a plane needs three judged inputs")
    return chosen


def _plane(points: np.ndarray) -> tuple[Plane, np.ndarray]:
    plane = plane_through(*points)
    return plane, window_around(plane.places(points), margin=MARGIN)


def _whole_plane(box: Sequence[float]) -> tuple[Plane, np.ndarray]:
    """Inputs of two pixels, as they are."""
    plane = Plane(origin=np.zeros(2), first=np.array([1.0, 0.0]), second=np.array([0.0, 1.0]))
    return plane, rectangle(np.full(2, box[0]), np.full(2, box[1]))
