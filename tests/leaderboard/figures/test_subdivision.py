"""Linear regions in a plane against the network itself, point by point."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from leaderboard.figures import subdivision
from leaderboard.figures.plane import Plane, area, contains, plane_through, rectangle
from leaderboard.figures.sampled import SIDE, grid_of, sampled
from leaderboard.figures.subdivision import (
    Piece,
    TooManyRegions,
    decided,
    divided,
    linear_regions,
)
from relu.network.activation import switching_units
from relu.network.architectures import build
from relu.network.layers import Layer, to_vectors
from relu.network.reader import in_float64, read_layers
from relu.regions.region import Region, region_of

SHAPE = (1, 8, 8)
WINDOW = rectangle(np.full(2, -1.5), np.full(2, 1.5))
POINTS = np.random.default_rng(7).uniform(-1.5, 1.5, size=(400, 2))


def wide() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 40), nn.ReLU(), nn.Linear(40, 5))


NETS: dict[str, Callable[[], nn.Module]] = {
    "one hidden layer": wide,
    **{
        arch: partial(build, arch, SHAPE, 10)
        for arch in ("fc_small", "cnn_small", "cnn_leaky", "resnet")
    },
}
Cut = tuple[tuple[Layer, ...], Plane, list[Piece]]


@pytest.fixture(scope="module", params=list(NETS), ids=lambda name: name.replace(" ", "_"))
def cut_plane(request: pytest.FixtureRequest) -> Cut:
    torch.manual_seed(3)
    layers = read_layers(in_float64(NETS[request.param]()), SHAPE)
    plane = plane_through(*torch.rand(3, 64, dtype=torch.float64).numpy())
    small = WINDOW / 15 if request.param in ("cnn_leaky", "resnet") else WINDOW
    return layers, plane, linear_regions(layers, plane, SHAPE, small)


def region_at(layers: tuple[Layer, ...], plane: Plane, places: np.ndarray) -> Region:
    x = torch.from_numpy(plane.at(places)).view(-1, *SHAPE)
    return region_of(layers, to_vectors(layers, x))


def scaled(pieces: list[Piece]) -> np.ndarray:
    """Points all over the window of these pieces."""
    half = max(float(np.abs(piece.corners).max()) for piece in pieces)
    return POINTS * half / 1.5


def homes(pieces: list[Piece], places: np.ndarray) -> list[int]:
    """The piece that each place lies in."""
    inside = np.stack([contains(piece.corners, places) for piece in pieces])
    assert (inside.sum(0) >= 1).all()
    return [int(i) for i in inside.argmax(0)]


def test_regions_fill_the_window_and_do_not_overlap(cut_plane: Cut) -> None:
    _, _, pieces = cut_plane
    half = max(float(np.abs(piece.corners).max()) for piece in pieces)
    assert sum(area(piece.corners) for piece in pieces) == pytest.approx((2 * half) ** 2, rel=1e-9)
    inside = np.stack([contains(piece.corners, scaled(pieces)) for piece in pieces])
    assert (inside.sum(0) == 1).all()


def test_points_have_the_pattern_and_the_logits_of_their_region(cut_plane: Cut) -> None:
    layers, plane, pieces = cut_plane
    places = scaled(pieces)
    region = region_at(layers, plane, places)
    kinked = switching_units(layers[:-1])
    patterns = (region.pattern if kinked is None else region.pattern[:, kinked]).numpy()
    ones = np.hstack([np.ones((len(places), 1)), places])
    for i, home in enumerate(homes(pieces, places)):
        assert np.array_equal(pieces[home].active, patterns[i])
        assert np.allclose(pieces[home].logits @ ones[i], region.logits[i].numpy(), atol=1e-10)


def test_regions_have_patterns_of_their_own(cut_plane: Cut) -> None:
    _, _, pieces = cut_plane
    assert len({piece.active.tobytes() for piece in pieces}) == len(pieces) > 20


def test_regions_beside_each_other_differ_in_shade(cut_plane: Cut) -> None:
    _, _, pieces = cut_plane
    half = max(float(np.abs(piece.corners).max()) for piece in pieces)
    for piece in pieces[:20]:
        for a, b in zip(piece.corners, np.roll(piece.corners, -1, axis=0), strict=True):
            along = b - a
            if np.linalg.norm(along) < 1e-3 * half:
                continue
            out = np.array([along[1], -along[0]]) / np.linalg.norm(along) * 1e-7 * half
            for place in ((a + b) / 2 + out, (a + b) / 2 - out):
                beside = [other for other in pieces if contains(other.corners, place[None])[0]]
                assert all(other is piece or other.parity != piece.parity for other in beside)


def test_decisions_are_those_of_the_logits(cut_plane: Cut) -> None:
    layers, plane, pieces = cut_plane
    places = scaled(pieces)
    logits = region_at(layers, plane, places).logits
    for place, largest, home in zip(places, logits.argmax(1), homes(pieces, places), strict=True):
        areas = decided(pieces[home]).areas
        assert [k for k, corners in areas if contains(corners, place[None])] == [int(largest)]
    for piece in pieces:
        won = sum(area(corners) for _, corners in decided(piece).areas)
        assert won == pytest.approx(area(piece.corners), rel=1e-6, abs=1e-12)


def test_boundaries_are_where_two_classes_are_tied(cut_plane: Cut) -> None:
    layers, plane, pieces = cut_plane
    ties = [segment for piece in pieces for segment in decided(piece).ties]
    if not ties:
        return
    middles = np.stack([segment.mean(0) for segment in ties])
    logits = region_at(layers, plane, middles).logits
    first, second = logits.topk(2, dim=1).values.T
    assert torch.allclose(first, second, atol=1e-7)


def test_lines_divide_as_many_times_as_they_cross() -> None:
    lines = np.array([[-0.2, 1.0, 0.0], [-0.6, 0.0, 2.0], [5.0, 1.0, 1.0], [-1.0, 0.0, 0.0]])
    square = rectangle(np.zeros(2), np.ones(2))
    parts = list(divided(square, lines, 1e-12))
    assert sorted(round(area(corners), 9) for corners, _ in parts) == [0.06, 0.14, 0.24, 0.56]
    for _, signs in parts:
        assert signs[2:].tolist() == [True, False]


def test_a_layer_without_lines_is_one_part() -> None:
    square = rectangle(np.zeros(2), np.ones(2))
    ((corners, signs),) = divided(square, np.zeros((0, 3)), 1e-12)
    assert area(corners) == 1
    assert len(signs) == 0


def test_too_many_regions_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subdivision, "MOST", 10)
    torch.manual_seed(0)
    layers = read_layers(in_float64(wide()), SHAPE)
    plane = plane_through(*torch.rand(3, 64, dtype=torch.float64).numpy())
    with pytest.raises(TooManyRegions, match="more than 10"):
        linear_regions(layers, plane, SHAPE, WINDOW)
    monkeypatch.undo()
    pieces = linear_regions(layers, plane, SHAPE, WINDOW)
    points = sampled(layers, plane, SHAPE, WINDOW)
    places = grid_of(WINDOW, SIDE)
    chosen = np.arange(0, len(places), 397)
    parity = points.parity.ravel()[chosen]
    logits = points.logits.reshape(len(places), -1)[chosen]
    ones = np.hstack([np.ones((len(chosen), 1)), places[chosen]])
    for i, home in enumerate(homes(pieces, places[chosen])):
        assert pieces[home].parity == parity[i]
        assert np.allclose(pieces[home].logits @ ones[i], logits[i])
    assert (points.classes(places[chosen]) == logits.argmax(1)).all()
