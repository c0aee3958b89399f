"""Bounds of relu/ on hostile networks, in float64: never beyond what exact arithmetic finds.

No solver and no search: what is asked is whether the ball holds a point where a unit, or a margin,
is below its bound.
"""

import math
from collections.abc import Iterator
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from bench.parsing import NORMS
from relu.bounds.alpha_crown import improved_margins, relaxations
from relu.bounds.ball import Ball, ball_of
from relu.bounds.linear import margin_lower_bounds, relax
from relu.bounds.relaxed_network import RelaxedNetwork
from relu.classes import others
from relu.network.layers import Layer, to_vectors
from relu.network.reader import in_float64, read_layers
from relu.regions.box_projection import nearest_on_hyperplanes
from relu.regions.hyperplanes import distance_to, normals, planes_of
from relu.regions.region import Region, region_of
from relu.rounding import gamma
from relu.threat import Norm, Threat
from tests.hostile import rational
from tests.hostile.nets import Case, case_of
from tests.hostile.radius import exact_radius
from tests.hostile.rational import Affine, Box

FEW = 10
ALL = 60
SEEDS = [*range(FEW), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(FEW, ALL))]


def tiny(seed: int) -> Case:
    """A case with exact radii, no farther than a few thousand seeds from this one."""
    return next(c for k in range(99) if (c := case_of(100_000 + 100 * seed + k)).radii is not None)


def little(bound: float) -> Fraction:
    """By how much a bound must be wrong to be called so."""
    return abs(Fraction(bound)) / 2**100 or Fraction(1, 2**1200)


def below(
    layers: list[Affine], row: list[int], level: Fraction, x: list[float], norm: str, box: Box
) -> Fraction | None:
    """The power of the distance at which row . outputs is no more than level; None: nowhere."""
    last = layers[-1]
    bottom = level.denominator
    total: dict[int, int] = {}
    for factor, entries in zip(row, last.rows, strict=True):
        for place, weight in entries:
            total[place] = total.get(place, 0) + factor * weight * bottom
    bias = bottom * sum(f * b for f, b in zip(row, last.bias, strict=True))
    bias -= level.numerator << last.shift
    # Both logits have a positive factor more than they should have, which decides nothing.
    final = Affine((tuple(total.items()), ()), (bias, 0), last.shift)
    return exact_radius([*layers[:-1], final], x, 0, norm, box)


def holds(
    layers: list[Affine], row: list[int], bound: float, x: list[float], threat: Threat, box: Box
) -> bool:
    """Whether row . outputs is at least the bound everywhere in the ball."""
    if not math.isfinite(bound):
        return bound < 0
    level = Fraction(bound) - little(bound)
    found = below(layers, row, level, x, threat.norm, box)
    return found is None or found > rational.power(float(threat.eps), threat.norm)


def walls(case: Case, i: int, box: bool) -> Box:
    """The box, or where there is none, one that holds the ball."""
    far = 2 * (float(case.threat.eps) + max(abs(v) for v in case.points[i])) + 1
    return case.threat.box if box else (-far, far)


def balls(case: Case) -> Iterator[tuple[tuple[Layer, ...], Ball, bool]]:
    layers = read_layers(in_float64(case.net), case.shape)
    x = to_vectors(layers, case.x.double())
    for box in (True, False):
        yield layers, ball_of(x, case.threat, box=box), box


def require_margins(case: Case, found: Tensor, box: bool) -> None:
    for i, bounds in enumerate(found.tolist()):
        label = int(case.y[i])
        rivals = others(case.y[i : i + 1], len(bounds) + 1)[0].tolist()
        for s, bound in zip(rivals, bounds, strict=True):
            row = [(k == label) - (k == s) for k in range(len(bounds) + 1)]
            given = case.points[i], case.threat, walls(case, i, box)
            assert holds(case.layers, row, bound, *given), (case.script(), i, s, bound, box)


@pytest.mark.parametrize("seed", SEEDS)
def test_margins_of_all_relaxations(seed: int) -> None:
    case = tiny(seed)
    for layers, ball, box in balls(case):
        for relaxed in relaxations(layers, ball):
            require_margins(case, margin_lower_bounds(relaxed, case.y), box)
        improved = improved_margins(relax(layers, ball, "crown"), case.y, iterations=3)
        require_margins(case, improved, box)


def channels_first(case: Case, layers: tuple[Layer, ...], top: int) -> list[int]:
    """The units of a hidden layer in the order of the exact ones, channel by channel."""
    layer = layers[top]
    shape = getattr(layer, "out_shape", (layer.size,))
    order = torch.arange(layer.size)
    if len(shape) == 3:
        order = order.view(*shape[1:], shape[0]).permute(2, 0, 1).flatten()
    found: list[int] = order.tolist()
    return found


def require_bounds(
    case: Case, relaxed: RelaxedNetwork, layers: tuple[Layer, ...], box: bool
) -> None:
    for top, (low, high) in enumerate(relaxed.bounds):
        for number, unit in enumerate(channels_first(case, layers, top)):
            for i, x in enumerate(case.points):
                for sign, bound in ((1, float(low[i, unit])), (-1, -float(high[i, unit]))):
                    row = [sign * (k == number) for k in range(layers[top].size)]
                    given = x, case.threat, walls(case, i, box)
                    said = case.script(), top, unit, sign, bound, box
                    assert holds(case.layers[: top + 1], row, bound, *given), said


@pytest.mark.parametrize("seed", SEEDS)
def test_bounds_of_hidden_units(seed: int) -> None:
    case = tiny(seed)
    for layers, ball, box in balls(case):
        for kind in ("kw", "crown"):
            for every in (True, False):
                require_bounds(case, relax(layers, ball, kind, every=every), layers, box)


Plane = tuple[Fraction, list[Fraction]]
"""gap at x, and normal"""


def planes(case: Case, i: int, region: Region) -> list[Plane]:
    """Every plane of a region, seen from the input i, in the order of the exact units."""
    x = [Fraction(v) for v in case.points[i]]
    rows = [[Fraction(j == k) for k in range(len(x))] for j in range(len(x))]
    values = x
    found = list[Plane]()
    for top, layer in enumerate(case.layers):
        scale = Fraction(1, 1 << layer.shift)
        sums = [sum((w * values[j] for j, w in row), Fraction(0)) for row in layer.rows]
        z = [scale * (total + b) for total, b in zip(sums, layer.bias, strict=True)]
        v = [
            [scale * sum((w * rows[j][k] for j, w in row), Fraction(0)) for k in range(len(x))]
            for row in layer.rows
        ]
        if layer is case.layers[-1]:
            break
        found += list(zip(z, v, strict=True))
        active = region.slopes[top][i].tolist()
        on = [int(active[unit]) for unit in channels_first(case, tuple(region.layers), top)]
        values = [gate * value for gate, value in zip(on, z, strict=True)]
        rows = [[gate * value for value in row] for gate, row in zip(on, v, strict=True)]
    y = int(case.y[i])
    for s in range(len(z)):
        if s != y:
            found.append((z[y] - z[s], [a - b for a, b in zip(v[y], v[s], strict=True)]))
    return found


def numbers_of(case: Case, region: Region) -> list[int]:
    """Where each of the exact planes is among those of `planes_of`."""
    found = list[int]()
    for top, start in enumerate(region.starts[:-1]):
        found += [start + unit for unit in channels_first(case, tuple(region.layers), top)]
    rivals = region.logits.shape[1] - 1
    return found + list(range(region.starts[-1], region.starts[-1] + rivals))


def is_nearer(low: float, plane: Plane, norm: str) -> bool:
    """Whether a plane is nearer than low, without a box: |gap| < low ||normal||_q."""
    gap, normal = plane
    length = {
        "linf": lambda: sum(abs(v) for v in normal),
        "l2": lambda: sum(v * v for v in normal),
        "l1": lambda: max(abs(v) for v in normal),
    }[norm]()
    if not length or not low:
        return False
    return low == math.inf or rational.power(low, norm) * length > abs(gap) ** (1 + (norm == "l2"))


def exact_distance(plane: Plane, x: list[float], norm: str, box: Box) -> Fraction | None:
    """The power of the distance to a plane inside the box; None: it misses the box."""
    gap, normal = plane
    sign = -1 if gap < 0 else 1
    offset = gap - sum((v * Fraction(a) for v, a in zip(normal, x, strict=True)), Fraction(0))
    bottom = math.lcm(*(v.denominator for v in (*normal, offset)))
    row = tuple((k, sign * int(v * bottom)) for k, v in enumerate(normal))
    return exact_radius([Affine((row, ()), (sign * int(offset * bottom), 0), 0)], x, 0, norm, box)


@pytest.mark.parametrize("seed", SEEDS)
def test_distances_to_planes(seed: int) -> None:
    case = tiny(seed)
    layers = read_layers(in_float64(case.net), case.shape)
    threat = case.threat
    x = to_vectors(layers, case.x.double())
    region = region_of(layers, x)
    found = planes_of(region, case.y, threat)
    for i, point in enumerate(case.points):
        numbers = numbers_of(case, region)
        exact = planes(case, i, region)
        which = torch.tensor(numbers)
        same = torch.full_like(which, i)
        rows = normals(region.at(same), case.y[same], which)
        gap = found.gap[i, which]
        error = found.error[i, which]
        lows = distance_to(x[same], rows, gap, error, threat).tolist()
        for number, plane, low in zip(numbers, exact, lows, strict=True):
            if number >= region.starts[-1] and plane[0] <= 0:
                continue  # it is overtaken already
            said = case.script(), i, number, plane
            assert not is_nearer(float(found.low[i, number]), plane, threat.norm), said
            true = exact_distance(plane, point, threat.norm, threat.box)
            if true is not None and low and any(plane[1]):
                assert low < math.inf, said
                assert rational.power(low, threat.norm) <= true, said


def hostile_rows(seed: int, d: int) -> Tensor:
    """Rows of many scales, some entries and one row 0, some entries the same."""
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randn(6, d, generator=draw).double()
    rows[0] = rows[0].sign()
    rows[1] *= 10.0 ** torch.randint(-30, 9, (d,), generator=draw).double()
    rows[2] *= 1e-170
    rows[3, 0] = 0.0
    rows[4] = 0.0
    return rows


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(20))
def test_falls_and_rises(seed: int, norm: Norm) -> None:
    draw = torch.Generator().manual_seed(seed)
    d = 1 + seed % 3
    x = torch.rand(1, d, generator=draw).double()
    x[x < 0.2] = 0.0
    rows = hostile_rows(seed, d)
    eps = float(10 ** (3 * torch.rand((), generator=draw) - 2))
    threat = Threat(norm=norm, eps=eps, box=(-0.1, 1.1))
    for box in (True, False):
        ball = ball_of(x, threat, box=box)
        edges = threat.box if box else (-4 * eps - 2, 4 * eps + 2)
        unit = 8 * (d + 2) * 2.0**-53
        for sign, moved in ((1, ball.deltas.support_below), (-1, ball.deltas.support_above)):
            for row, reach in zip(rows, moved(rows.unsqueeze(0))[0].tolist(), strict=True):
                size = float((row.abs() * (ball.center[0].abs() + ball.deltas.up[0])).sum())
                numbers, shift = rational.whole(row.tolist())
                form = Affine((tuple(enumerate(numbers)),), (0,), shift)
                least = sign * exact_sum(row, ball.center[0]) - Fraction(reach)
                least -= Fraction(unit) * (Fraction(reach) + Fraction(size)) + little(reach)
                found = below([form], [sign], least, x[0].tolist(), norm, edges)
                assert found is None or found > rational.power(eps, norm), (row, reach, box)


def exact_sum(row: Tensor, x: Tensor) -> Fraction:
    products = zip(row.tolist(), x.tolist(), strict=True)
    return sum((Fraction(a) * Fraction(b) for a, b in products), Fraction(0))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(20))
def test_projections_on_planes(seed: int, norm: Norm) -> None:
    draw = torch.Generator().manual_seed(seed)
    d = 1 + seed % 3
    threat = Threat(norm=norm, eps=1.0)
    x = torch.rand(1, d, generator=draw).double()
    x[0, 0] = float(seed % 2)
    w = torch.randn(1, 8, d, generator=draw).double()
    w[0, 0, 0] = 0.0
    b = -(w * torch.rand(1, 8, d, generator=draw)).sum(2)
    distances, points = nearest_on_hyperplanes(x, w, b, threat)
    for row, offset, found, z in zip(w[0], b[0], distances[0].tolist(), points[0], strict=True):
        gap = exact_sum(row, x[0]) + Fraction(float(offset))
        normal = [Fraction(v) for v in row.tolist()]
        true = exact_distance((gap, normal), x[0].tolist(), norm, threat.box)
        assert (true is None) == (found == math.inf)
        if true is not None:
            exact = rational.rounded(true, norm)
            assert found == pytest.approx(exact, rel=1e-9, abs=1e-14)
            assert float(exact_sum(row, z) + Fraction(float(offset))) == pytest.approx(0, abs=1e-12)
            assert rational.in_box(z.tolist(), threat.box)


def test_gamma_is_beyond_the_rounding_of_every_sum() -> None:
    for seed in range(20):
        case = tiny(seed)
        layers = read_layers(in_float64(case.net), case.shape)
        terms = sum(max((len(row) for row in layer.rows), default=0) for layer in case.layers)
        assert gamma(layers, math.prod(case.shape)) >= 2 * terms * 2.0**-53
