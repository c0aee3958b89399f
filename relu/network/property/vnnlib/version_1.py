"""VNN-LIB 1.0: SMT-LIB's declare-const and assert, over X_0, X_1, ... and Y_0, Y_1, ..."""

import re
from collections.abc import Iterator, Sequence

from relu.errors import InputError
from relu.network.property.vnnlib.cases import cases_of
from relu.network.property.vnnlib.formulas import DEEPEST, Expression, Symbol, shown
from relu.network.property.vnnlib.records import Property, Variable

TOKEN = re.compile(r'"(?:[^"]|"")*"|\|[^|]*\||[()]|;[^\n]*|[^\s();"|]+|\S')
QUOTES = ('"', "|")  # of SMT-LIB's strings and quoted symbols; alone, nothing closes them
NAME = re.compile(r"([XY])_(0|[1-9][0-9]{0,8})")
IGNORED = ("set-logic", "set-info", "set-option", "check-sat", "get-model")


def read(text: str) -> Property:
    """The property of a 1.0 file. Raises InputError, one line."""
    declared: dict[str, Symbol] = {}
    assertions: list[Expression] = []
    for command in _commands(text):
        match command:
            case ["declare-const", str(name), "Real"] | ["declare-fun", str(name), [], "Real"]:
                declared[name] = _symbol(name)
            case ["assert", str() | Symbol() | list() as expression]:
                assertions.append(_resolved(expression, declared))
            case ["exit"]:
                break
            case [str(name), *_] if name in IGNORED:
                pass
            case _:
                raise InputError(
                    "expected (declare-const NAME Real) or (assert EXPRESSION), "
                    f"got {shown(command)}"
                )
    inputs, outputs = (_variable(kind, declared) for kind in "XY")
    cases = cases_of(assertions, inputs, outputs)
    return Property("1.0", None, inputs, outputs, cases)


def _commands(text: str) -> Iterator[Expression]:
    """The lists of a text, one after the other. Raises InputError where parentheses do not fit."""
    stack: list[list[Expression]] = []
    for match in TOKEN.finditer(text):
        token = match[0]
        if token[0] == ";":
            continue
        if token in QUOTES:
            raise InputError(f"a {token} is never closed")
        if token == "(":
            stack.append([])
            if len(stack) > DEEPEST:
                raise InputError(f"lists are nested more than {DEEPEST} deep")
        elif token == ")":
            if not stack:
                raise InputError("a ) closes nothing")
            done = stack.pop()
            if not stack:
                yield done
            else:
                stack[-1].append(done)
        elif stack:
            stack[-1].append(token)
        else:
            raise InputError(f"expected (, got {token[:40]!r}")
    if stack:
        raise InputError("a ( is never closed")


def _symbol(name: str) -> Symbol:
    match = NAME.fullmatch(name)
    if match is None:
        raise InputError(f"variables must be called X_0, X_1, ... or Y_0, Y_1, ..., got {name!r}")
    return Symbol(match[1], int(match[2]))


def _resolved(expression: Expression, declared: dict[str, Symbol]) -> Expression:
    """With symbols for the names of variables."""
    if isinstance(expression, list):
        return [_resolved(part, declared) for part in expression]
    if isinstance(expression, str) and expression in declared:
        return declared[expression]
    return expression


def _variable(kind: str, declared: dict[str, Symbol]) -> Variable:
    """All inputs, or all outputs, as one. Raises InputError where one is missing."""
    indices = {symbol.place for symbol in declared.values() if symbol.kind == kind}
    if not indices:
        raise InputError(f"the property declares no {kind}_0")
    missing = _first_missing(sorted(indices))
    if missing is not None:
        raise InputError(f"the property declares {kind}_{max(indices)}, but no {kind}_{missing}")
    return Variable(kind, "Real", (len(indices),))


def _first_missing(indices: Sequence[int]) -> int | None:
    return next((j for j, index in enumerate(indices) if j != index), None)
