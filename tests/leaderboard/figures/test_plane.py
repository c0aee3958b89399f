"""Planes and polygons in them, by closed forms."""

import numpy as np
import pytest

from leaderboard.figures.plane import (
    Plane,
    area,
    contains,
    cut,
    inside_box,
    plane_through,
    rectangle,
    window_around,
)
from leaderboard.figures.sampled import grid_of
from leaderboard.figures.witness import ball_edge
from relu.errors import InputError

SQUARE = rectangle(np.zeros(2), np.ones(2))


def random_plane(d: int = 5) -> Plane:
    a, b, c = np.random.default_rng(0).normal(size=(3, d))
    return plane_through(a, b, c)


def test_a_plane_goes_through_its_points_and_keeps_distances() -> None:
    points = np.random.default_rng(1).normal(size=(3, 7))
    plane = plane_through(*points)
    places = plane.places(points)
    assert np.allclose(plane.at(places), points)
    assert np.allclose(places[0], 0)
    assert places[1][0] == pytest.approx(np.linalg.norm(points[1] - points[0]))
    assert places[1][1] == pytest.approx(0)
    assert np.linalg.norm(places[2] - places[1]) == pytest.approx(
        np.linalg.norm(points[2] - points[1])
    )


def test_points_on_a_line_span_no_plane() -> None:
    a, b = np.random.default_rng(2).normal(size=(2, 4))
    with pytest.raises(InputError, match="on one line"):
        plane_through(a, b, 2 * b - a)
    with pytest.raises(InputError, match="the same"):
        plane_through(a, a, b)


def test_a_line_cuts_a_square_into_two_parts() -> None:
    above, below = cut(SQUARE, SQUARE @ np.array([1.0, 1.0]) - 0.5)
    assert area(below) == pytest.approx(1 / 8)
    assert area(above) == pytest.approx(7 / 8)
    assert len(above) == 5
    assert len(below) == 3
    whole, nothing = cut(SQUARE, np.ones(4))
    assert area(whole) == 1
    assert len(nothing) == 0


def test_a_polygon_contains_what_is_inside() -> None:
    places = np.array([[0.5, 0.5], [0.0, 0.3], [1.2, 0.5], [-0.1, -0.1]])
    assert contains(SQUARE, places).tolist() == [True, True, False, False]
    assert contains(SQUARE[::-1], places).tolist() == [True, True, False, False]


def test_the_window_is_a_square_around_all_points() -> None:
    window = window_around(np.array([[0.0, 0.0], [4.0, 1.0]]), margin=0.25)
    assert window.min(0).tolist() == [-1.0, -2.5]
    assert window.max(0).tolist() == [5.0, 3.5]


def test_the_box_ends_where_a_pixel_leaves_it() -> None:
    plane = random_plane()
    window = rectangle(np.full(2, -3.0), np.full(2, 3.0))
    corners = inside_box(plane, window, (-1.0, 1.0))
    grid = grid_of(window, 60)
    inside = (np.abs(plane.at(grid)) <= 1).all(1)
    assert 0 < inside.sum() < len(grid)
    assert (contains(corners, grid) == inside).all()


@pytest.mark.parametrize(("norm", "order"), [("linf", np.inf), ("l2", 2), ("l1", 1)])
def test_the_edge_of_a_ball_is_its_radius_away(norm: str, order: float) -> None:
    plane = random_plane()
    away = plane.at(ball_edge(plane, norm, 0.3)) - plane.origin
    assert np.allclose(np.linalg.norm(away, ord=order, axis=1), 0.3)
