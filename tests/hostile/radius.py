"""The exact radius of tiny networks, by cutting the box into the cells on which they are affine.

A cell is a closed polytope, given by its vertices and by which constraints are tight at each
(double description). Vertices have whole homogeneous coordinates (v, w), w > 0, for the point v/w.
An affine form is a tuple of whole numbers (a, c) for a.z + c, up to a power of two.

The nearest adversarial point of an input that is classified correctly is a tie: the margin is
continuous on the way there. So it lies in a cell's section with {f_y = f_s} for some class s.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from tests.hostile.rational import Affine, Box, margin, size, whole

Form = tuple[int, ...]
Vertex = tuple[tuple[int, ...], int]
"""homogeneous coordinates, and the bits of the constraints that are tight there"""
Cell = list[Vertex]
SECTION = 500  # number of the constraint of a section; those of units are smaller


def exact_radius(
    layers: Sequence[Affine], x: Sequence[float], label: int, norm: str, box: Box
) -> Fraction | None:
    """The power of the smallest ||z - x||, z in the box, at which another class ties or wins.

    None: there is no such point.
    """
    if margin(layers, x, label) <= 0:
        return Fraction(0)
    best: Fraction | None = None
    d = len(x)
    for cell, logits in _cells(layers, _corners(box, d), _identity(d), 0, 2 * d):
        for s in range(len(logits)):
            if s == label:
                continue
            gap = tuple(a - b for a, b in zip(logits[label], logits[s], strict=True))
            section = _section(cell, gap)
            if section and (best is None or _box_distance(section, x, norm) < best):
                found = _distance(section, x, norm)
                best = found if best is None else min(best, found)
    return best


def _corners(box: Box, d: int) -> Cell:
    ends, shift = whole(box)
    return [
        (
            (*(ends[side] for side in sides), 1 << shift),
            sum(1 << (2 * i + side) for i, side in enumerate(sides)),
        )
        for sides in itertools.product((0, 1), repeat=d)
    ]


def _identity(d: int) -> list[Form]:
    return [tuple(int(i == j) for j in range(d + 1)) for i in range(d)]


def _cells(
    layers: Sequence[Affine], cell: Cell, given: list[Form], shift: int, bit: int
) -> Iterator[tuple[Cell, list[Form]]]:
    """Cells that cover this one, with the logits as affine forms on each.

    given: what the first layer's inputs are, times 2^shift. bit: the first free one.
    """
    layer = layers[0]
    width = len(given[0])
    forms = [
        _combined(row, given, bias << shift, width)
        for row, bias in zip(layer.rows, layer.bias, strict=True)
    ]
    if len(layers) == 1:
        yield cell, forms
        return
    parts: list[tuple[Cell, list[Form]]] = [(cell, [])]
    for unit, form in enumerate(forms):
        parts = [
            (half, [*outputs, form if on else (0,) * width])
            for part, outputs in parts
            for half, on in _halves(part, form, bit + unit)
        ]
    for part, outputs in parts:
        yield from _cells(layers[1:], part, outputs, shift + layer.shift, bit + len(forms))


def _combined(row: Sequence[tuple[int, int]], given: list[Form], bias: int, width: int) -> Form:
    total = [0] * width
    for place, weight in row:
        for i, value in enumerate(given[place]):
            total[i] += weight * value
    total[-1] += bias
    return tuple(total)


def _values(cell: Cell, form: Form) -> list[int]:
    return [sum(a * v for a, v in zip(form, vertex, strict=True)) for vertex, _ in cell]


def _halves(cell: Cell, form: Form, bit: int) -> list[tuple[Cell, bool]]:
    """The parts of a cell where a form is >= 0 (True) and <= 0, or the cell itself."""
    values = _values(cell, form)
    if min(values) >= 0 or max(values) <= 0:
        return [(cell, max(values) > 0)]
    cut = _zeros(cell, values, 1 << bit)
    above = [vertex for vertex, value in zip(cell, values, strict=True) if value > 0]
    below = [vertex for vertex, value in zip(cell, values, strict=True) if value < 0]
    return [(above + cut, True), (below + cut, False)]


def _section(cell: Cell, form: Form) -> Cell:
    """The part of a cell where a form is 0."""
    return _zeros(cell, _values(cell, form), 1 << SECTION)


def _zeros(cell: Cell, values: Sequence[int], bit: int) -> Cell:
    """The vertices of a cell's part where a form with these values is 0."""
    found = [
        (vertex, tight | bit)
        for (vertex, tight), value in zip(cell, values, strict=True)
        if value == 0
    ]
    above = [i for i, value in enumerate(values) if value > 0]
    below = [i for i, value in enumerate(values) if value < 0]
    for i, j in itertools.product(above, below):
        both = cell[i][1] & cell[j][1]
        if _adjacent(cell, i, j, both):
            crossing = [
                values[i] * b - values[j] * a for a, b in zip(cell[i][0], cell[j][0], strict=True)
            ]
            common = math.gcd(*crossing)
            found.append((tuple(v // common for v in crossing), both | bit))
    return found


def _adjacent(cell: Cell, i: int, j: int, both: int) -> bool:
    """Whether two vertices are an edge: no third one has all the constraints tight that they do."""
    return all(both & ~tight for k, (_, tight) in enumerate(cell) if k not in (i, j))


def _steps(cell: Cell, x: Sequence[float]) -> list[list[Fraction]]:
    """From x to each vertex."""
    start = [Fraction(v) for v in x]
    return [
        [Fraction(v, vertex[-1]) - a for v, a in zip(vertex, start, strict=False)]
        for vertex, _ in cell
    ]


def _box_distance(cell: Cell, x: Sequence[float], norm: str) -> Fraction:
    """The power of the distance to the box around a cell: no more than that to the cell."""
    columns = list(zip(*_steps(cell, x), strict=True))
    return size([max(min(column), -max(column), Fraction(0)) for column in columns], norm)


def _distance(cell: Cell, x: Sequence[float], norm: str) -> Fraction:
    """The power of the distance to a cell."""
    if norm == "l2":
        return _least_square(_steps(cell, x))
    parts = [cell]
    for number, form in enumerate(_kinks(x, norm)):
        parts = [half for part in parts for half, _ in _halves(part, form, SECTION + 1 + number)]
    return min(size(step, norm) for part in parts for step in _steps(part, x))


def _kinks(x: Sequence[float], norm: str) -> Iterator[Form]:
    """Forms between whose zeros the norm of z - x is linear, so least at a vertex."""
    start, shift = whole(x)
    d = len(x)
    one = 1 << shift
    if norm == "l1":
        for i in range(d):
            yield (*(one * (j == i) for j in range(d)), -start[i])
        return
    for i, j in itertools.combinations(range(d), 2):
        for sign in (1, -1):
            row = [one * (k == i) + sign * one * (k == j) for k in range(d)]
            yield (*row, -start[i] - sign * start[j])


def _least_square(steps: list[list[Fraction]]) -> Fraction:
    """The square of the shortest vector in the convex hull, by Wolfe's algorithm (1976)."""
    shortest = min(range(len(steps)), key=lambda i: _dot(steps[i], steps[i]))
    weights = {shortest: Fraction(1)}
    while True:
        near = [
            sum((weight * steps[i][k] for i, weight in weights.items()), Fraction(0))
            for k in range(len(steps[0]))
        ]
        square = _dot(near, near)
        best = min(range(len(steps)), key=lambda i: _dot(near, steps[i]))
        if _dot(near, steps[best]) >= square:
            return square
        weights[best] = Fraction(0)
        weights = _in_hull(steps, weights)


def _in_hull(steps: list[list[Fraction]], weights: dict[int, Fraction]) -> dict[int, Fraction]:
    """Weights of the shortest vector in the affine hull of some points, as far as it is inside."""
    while True:
        wanted = _affine_weights([steps[i] for i in weights])
        target = dict(zip(weights, wanted, strict=True))
        if all(value > 0 for value in target.values()):
            return target
        share = min(old / (old - target[i]) for i, old in weights.items() if target[i] <= 0 < old)
        moved = {i: old + share * (target[i] - old) for i, old in weights.items()}
        weights = {i: value for i, value in moved.items() if value > 0}


def _affine_weights(steps: list[list[Fraction]]) -> list[Fraction]:
    """The weights, of sum 1, of the shortest vector in the affine hull of independent points."""
    k = len(steps)
    table = [[*(_dot(a, b) for b in steps), Fraction(1), Fraction(0)] for a in steps]
    table.append([*[Fraction(1)] * k, Fraction(0), Fraction(1)])
    for column in range(k + 1):
        pivot = next(i for i in range(column, k + 1) if table[i][column])
        table[column], table[pivot] = table[pivot], table[column]
        top = [value / table[column][column] for value in table[column]]
        table = [
            top if i == column else [a - row[column] * b for a, b in zip(row, top, strict=True)]
            for i, row in enumerate(table)
        ]
    return [row[-1] for row in table[:k]]


def _dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((v * w for v, w in zip(a, b, strict=True)), Fraction(0))
