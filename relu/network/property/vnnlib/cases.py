"""From formulas to cases: boxes of inputs, each with the outputs that violate the property."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from relu.errors import InputError
from relu.network.property.case import Case, Row
from relu.network.property.vnnlib.formulas import (
    Atom,
    Conjunction,
    Expression,
    conjoined,
    disjunction,
)
from relu.network.property.vnnlib.records import Variable

Bound = tuple[Fraction, bool]
"""a number, and whether it is itself outside (a strict comparison)"""
Bounds = dict[int, Bound]


def cases_of(
    assertions: Sequence[Expression], inputs: Variable, outputs: Variable
) -> tuple[Case, ...]:
    """Cases of which one is violated exactly where all assertions hold; empty boxes are left out.

    Raises InputError where inputs are bounded by anything but constants, or not at all.
    """
    factors = [disjunction(expression) for expression in assertions]
    common = [atom for factor in factors if len(factor) == 1 for atom in factor[0]]
    rest = conjoined([factor for factor in factors if len(factor) != 1])
    shared = _split(common)
    if shared is None:
        return ()
    lower, upper, rows = shared
    boxes: dict[tuple[tuple[int, Bound], ...], list[tuple[Row, ...]]] = {}
    for extra_lower, extra_upper, extra_rows in _possible(rest):
        key = (
            *((j, _tighter(bound, lower.get(j), 1)) for j, bound in sorted(extra_lower.items())),
            (-1, (Fraction(0), False)),
            *((j, _tighter(bound, upper.get(j), -1)) for j, bound in sorted(extra_upper.items())),
        )
        boxes.setdefault(key, []).append((*rows, *extra_rows))
    cases = []
    for key, disjuncts in boxes.items():
        middle = [j for j, _ in key].index(-1)
        box = (lower | dict(key[:middle]), upper | dict(key[middle + 1 :]))
        cases += _case(*box, tuple(disjuncts), inputs)
    return tuple(cases)


Split = tuple[Bounds, Bounds, list[Row]]


def _possible(conjunctions: Sequence[Conjunction]) -> Iterator[Split]:
    for conjunction in conjunctions:
        split = _split(conjunction)
        if split is not None:
            yield split


def _split(atoms: Sequence[Atom]) -> Split | None:
    """Lower and upper bounds of inputs, and rows on outputs; None: a constant says it is false."""
    lower: Bounds = {}
    upper: Bounds = {}
    rows = []
    for atom in atoms:
        kinds = {symbol.kind for symbol in atom.coefficients}
        if not kinds:
            if atom.bound < 0 or (atom.strict and atom.bound == 0):
                return None
        elif kinds == {"Y"}:
            coefficients = tuple((s.place, a) for s, a in atom.coefficients.items())
            rows.append(Row(coefficients, atom.bound, atom.strict))
        else:
            _bound(atom, lower, upper)
    return lower, upper, rows


def _bound(atom: Atom, lower: Bounds, upper: Bounds) -> None:
    """Takes up a bound of an input."""
    if len(atom.coefficients) > 1:
        names = ", ".join(f"{s.kind}_{s.place}" for s in list(atom.coefficients)[:3])
        raise InputError(f"inputs must be bounded by constants, got a comparison of {names}")
    ((symbol, coefficient),) = atom.coefficients.items()
    bound = (atom.bound / coefficient, atom.strict)
    side, sign = (upper, -1) if coefficient > 0 else (lower, 1)
    side[symbol.place] = _tighter(bound, side.get(symbol.place), sign)


def _tighter(bound: Bound, other: Bound | None, sign: int) -> Bound:
    """The higher of two lower bounds (sign 1), the lower of two upper ones (-1)."""
    if other is None or bound[0] * sign > other[0] * sign:
        return bound
    if bound[0] == other[0]:
        return bound[0], bound[1] or other[1]
    return other


def _case(
    lower: Bounds, upper: Bounds, disjuncts: tuple[tuple[Row, ...], ...], inputs: Variable
) -> list[Case]:
    """The case, or none where its box is empty."""
    for j in range(inputs.size):
        for side, name in ((lower, "lower"), (upper, "upper")):
            if j not in side:
                raise InputError(f"input {inputs.name}_{j} has no {name} bound")
    for j in range(inputs.size):
        (low, low_open), (high, high_open) = lower[j], upper[j]
        if low > high or (low == high and (low_open or high_open)):
            return []
    case = Case(
        lower=tuple(lower[j][0] for j in range(inputs.size)),
        upper=tuple(upper[j][0] for j in range(inputs.size)),
        disjuncts=tuple(rows or (Row((), Fraction(0)),) for rows in disjuncts),
        open_lower=frozenset(j for j, (_, is_open) in lower.items() if is_open),
        open_upper=frozenset(j for j, (_, is_open) in upper.items() if is_open),
    )
    return [case]
