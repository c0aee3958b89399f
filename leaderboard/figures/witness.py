"""An input, its nearest witness, and the decisions between and around them."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy import ndarray

from leaderboard.figures.plane import Plane, plane_through, rectangle
from leaderboard.figures.planes import draw_box, draw_classes, draw_inputs, draw_slice, slice_of
from leaderboard.figures.runs import Case
from leaderboard.figures.style import PAGE, legend_below, panels, plain
from leaderboard.row import Row
from relu.errors import InputError

AROUND = 1.6  # half the window's side, in l2 distances of the witness
ANGLES = 720
PROVEN = (0, (4, 2))
THROUGH = (0, (1, 1))


def witness_figure(case: Case) -> Figure:
    """A panel for each network: the plane of an input, its nearest witness, and another input.

    The other is the first judged one of the class that the witness is taken for. Dashed: the plane
    in the largest ball that is proven to hold no adversarial input, which the decision boundary
    cannot enter; dotted: in the ball on whose surface the witness lies.
    """
    index = _index(case)
    figure, axes = panels(len(case.groups), height=2.1, width=PAGE / 3.6)
    for row, label, panel in zip(case.rows, case.labels, axes, strict=True):
        _draw(panel, case, row, index)
        known = case.runs.inputs(row).loc[index]
        radius = f"{known['low']:.4f} to {known['high']:.4f}"
        panel.set_title(f"{plain(label)}\nradius {radius}")
        panel.set_xlabel("l2 distance (pixel units)")
    legend_below(figure, _handles(index))
    return figure


def _index(case: Case) -> int:
    """The first input that was asked for, or that all networks classify and have witnesses for."""
    usable = None
    for row in case.rows:
        frame = case.runs.inputs(row)
        mine = frame.index[frame["correct"] & (frame["high_key"] != "")]
        usable = mine if usable is None else usable.intersection(mine)
    there = [] if usable is None else usable.tolist()
    wanted = case.inputs[0] if case.inputs else next(iter(there), None)
    if wanted is None or wanted not in there:
        which = "no input" if wanted is None else f"input {wanted}: not"
        raise InputError(f"{which} classified correctly, and with a witness, by every network")
    return int(wanted)


def _draw(axes: Axes, case: Case, row: Row, index: int) -> None:
    net = case.runs.network(row)
    found = case.runs.witness(row, index)
    assert found is not None
    witness = found.flatten().numpy()
    taken = int(net(found.unsqueeze(0)).argmax())
    pair = [index, _other(case, row, index, taken)]
    x, other = case.runs.images(row, pair).flatten(1).numpy()
    plane = plane_through(x, witness, other)
    half = AROUND * float(np.linalg.norm(witness - x))
    window = rectangle(np.full(2, -half), np.full(2, half))
    whole = slice_of(net, plane, window, case.runs.shape(row))
    draw_slice(axes, whole)
    draw_classes(axes, whole, plane.places(np.stack([x, witness])))
    draw_box(axes, plane, window, row.threat.box)
    known = case.runs.inputs(row)[["low", "high"]].loc[index].to_numpy(dtype=float)
    for radius, dash in zip(known, (PROVEN, THROUGH), strict=True):
        if np.isfinite(radius):
            edge = ball_edge(plane, row.norm, float(radius))
            axes.plot(*edge.T, color="black", linestyle=dash, linewidth=0.9)
    draw_inputs(axes, plane.places(np.stack([x, witness])))


def _other(case: Case, row: Row, index: int, taken: int) -> int:
    """The first judged input of a class, else any other than the input itself."""
    y = case.runs.inputs(row)["y"].drop(index)
    of_class = y.index[y == taken]
    if not len(y):
        raise InputError("a plane needs two judged inputs and a witness")
    return int(of_class[0] if len(of_class) else y.index[0])


def ball_edge(plane: Plane, norm: str, radius: float) -> Float[ndarray, "n 2"]:
    """The edge of the ball around the plane's origin, a closed line, at ANGLES angles.

    In direction u = cos(a) first + sin(a) second it is radius / |u| away, in whatever norm.
    """
    angles = np.linspace(0, 2 * math.pi, ANGLES + 1)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    order = {"linf": np.inf, "l2": 2, "l1": 1}[norm]
    lengths = np.linalg.norm(plane.at(directions) - plane.origin, ord=order, axis=1)
    return np.asarray(directions * radius / lengths[:, None])


def _handles(index: int) -> list[Line2D]:
    marks: dict[str, Any] = {"linestyle": "", "color": "white", "markeredgecolor": "black"}
    return [
        Line2D([], [], color="black", linewidth=1.5, label="decision boundary"),
        Line2D([], [], color="0.35", linewidth=0.4, label="edge of a linear region"),
        Line2D([], [], color="black", linestyle=PROVEN, label="proven: nothing inside"),
        Line2D([], [], color="black", linestyle=THROUGH, label="ball through the witness"),
        Line2D([], [], marker="o", label=f"input {index}", **marks),
        Line2D([], [], marker="s", label="nearest witness", **marks),
    ]
