"""Formulas over a network's inputs and outputs, in disjunctive normal form.

An expression is a list whose first entry is an operator, a number's text, or a symbol.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from relu.errors import InputError

DEEPEST = 100  # nested lists; beyond, recursion (ours, or the library's) would end the process
MOST_CONJUNCTIONS = 20_000
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d+))?", re.ASCII)
LONGEST = 1000  # characters of a number
LARGEST_EXPONENT = 400  # of a number; float64 ends at 308


class Symbol(NamedTuple):
    """An entry of the input (kind "X") or the output ("Y") of the network, in row-major order."""

    kind: str
    place: int


Expression = str | Symbol | list[Any]
"""a list holds expressions"""
Linear = dict[Symbol | None, Fraction]
"""coefficients of symbols; None: of 1"""


@dataclass(frozen=True)
class Atom:
    """Sum of coefficients * symbols <= bound; strict: < bound."""

    coefficients: Mapping[Symbol, Fraction]
    bound: Fraction
    strict: bool


Conjunction = Sequence[Atom]


def disjunction(expression: Expression) -> list[Conjunction]:
    """Conjunctions of which one must hold for the expression to hold. Raises InputError."""
    if not isinstance(expression, list) or not expression or not isinstance(expression[0], str):
        raise InputError(f"expected a comparison, and or or, got {shown(expression)}")
    operator, *arguments = expression
    if operator == "or":
        parts = [part for argument in arguments for part in disjunction(argument)]
        return _few(parts)
    if operator == "and":
        return conjoined([disjunction(argument) for argument in arguments])
    return _comparison(str(operator), arguments, expression)


def conjoined(factors: Sequence[Sequence[Conjunction]]) -> list[Conjunction]:
    """The disjunction that holds where all of these do."""
    common = [atom for factor in factors if len(factor) == 1 for atom in factor[0]]
    product: list[Conjunction] = [common]
    for factor in factors:
        if len(factor) != 1:
            _require_few(len(product) * len(factor))
            product = [[*left, *right] for left in product for right in factor]
    return product


def _few(parts: list[Conjunction]) -> list[Conjunction]:
    _require_few(len(parts))
    return parts


def _require_few(count: int) -> None:
    if count > MOST_CONJUNCTIONS:
        raise InputError(
            f"the property has more than {MOST_CONJUNCTIONS} cases in disjunctive normal form"
        )


def _comparison(
    operator: str, arguments: Sequence[Expression], expression: Expression
) -> list[Conjunction]:
    if operator not in ("<=", ">=", "<", ">", "=", "==", "!="):
        raise InputError(
            f"unknown operator {operator[:40]!r}: valid are and, or, <=, >=, <, >, =, ==, !="
        )
    if len(arguments) != 2:
        raise InputError(f"{operator} compares two terms, got {shown(expression)}")
    left, right = (linear(argument) for argument in arguments)
    below = _atom(left, right, strict=operator in ("<", "!="))
    above = _atom(right, left, strict=operator in (">", "!="))
    if operator in ("<=", "<"):
        return [[below]]
    if operator in (">=", ">"):
        return [[above]]
    return [[below], [above]] if operator == "!=" else [[below, above]]


def _atom(left: Linear, right: Linear, *, strict: bool) -> Atom:
    """Left <= right, or left < right."""
    total = _sum(left, right, -1)
    bound = -total.pop(None, Fraction(0))
    coefficients = {symbol: a for symbol, a in total.items() if symbol is not None and a}
    return Atom(coefficients, bound, strict)


def linear(expression: Expression) -> Linear:
    """An arithmetic expression's coefficients. Raises InputError where it is not linear."""
    if isinstance(expression, Symbol):
        return {expression: Fraction(1)}
    if isinstance(expression, str):
        return {None: number(expression)}
    if not expression or expression[0] not in ("+", "-", "*") or len(expression) < 2:
        raise InputError(f"expected a linear term of +, - and *, got {shown(expression)}")
    operator, *arguments = expression
    first, *rest = [linear(argument) for argument in arguments]
    if operator == "-" and not rest:
        return _sum({}, first, -1)
    for term in rest:
        if operator == "*":
            first = _product(first, term, expression)
        else:
            first = _sum(first, term, 1 if operator == "+" else -1)
    return first


def _sum(left: Linear, right: Linear, sign: int) -> Linear:
    total = dict(left)
    for symbol, coefficient in right.items():
        total[symbol] = total.get(symbol, Fraction(0)) + sign * coefficient
    return total


def _product(left: Linear, right: Linear, expression: Expression) -> Linear:
    if set(left) - {None}:
        left, right = right, left
    if set(left) - {None}:
        raise InputError(f"expected a linear term, got a product {shown(expression)}")
    factor = left.get(None, Fraction(0))
    return {symbol: factor * coefficient for symbol, coefficient in right.items()}


def number(text: str) -> Fraction:
    """A decimal number, exactly. Raises InputError."""
    match = NUMBER.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        raise InputError(f"expected a number or a declared variable, got {text[:40]!r}")
    if match[2] and (len(match[2]) > 6 or abs(int(match[2])) > LARGEST_EXPONENT):
        raise InputError(f"expected a number within float64's range, got {text[:40]!r}")
    return Fraction(text)


def shown(expression: Expression) -> str:
    """The beginning of an expression, for messages."""
    text = ""
    for piece in _pieces(expression):
        text += piece
        if len(text) > 60:
            return f"{text[:60].strip()}..."
    return text.strip()


def _pieces(expression: Expression) -> Iterator[str]:
    if isinstance(expression, Symbol):
        yield f"{expression.kind}_{expression.place} "
    elif isinstance(expression, str):
        yield f"{expression} "
    else:
        yield "("
        for part in expression:
            yield from _pieces(part)
        yield ") "
