"""VNN-LIB 2.0, as the library `vnnlib` parses and checks it."""

import itertools
import json
import re
from typing import Any

from relu.errors import InputError
from relu.network.property.vnnlib.cases import cases_of
from relu.network.property.vnnlib.formulas import DEEPEST, Expression, Symbol
from relu.network.property.vnnlib.records import Property, Variable

HINT = "VNN-LIB 2.0 needs the library vnnlib: pip install 'relu-bench[vnnlib]'"
SKIPPED = re.compile(r'"[^"\n]*"|;[^\n]*')
TYPES = {"F32": "float32", "Real": "real"}
OPERATORS = {
    "And": "and",
    "Or": "or",
    "LessEqual": "<=",
    "LessThan": "<",
    "GreaterEqual": ">=",
    "GreaterThan": ">",
    "Equal": "==",
    "NotEqual": "!=",
    "Plus": "+",
    "Minus": "-",
    "Multiply": "*",
    "Negate": "-",
}


def read(text: str) -> Property:
    """The property of a 2.0 file. Raises InputError, one line."""
    try:
        import vnnlib
    except ImportError:
        raise InputError(HINT) from None
    _require_flat(text)
    try:
        query = vnnlib.parse_query_string(text)
    except vnnlib.VNNLibException as error:
        raise InputError(f"VNN-LIB 2.0: {_reason(str(error))}") from error
    network, inputs, outputs = _declared(query)
    assertions = [_expression(assertion.expr) for assertion in query.assertions]
    return Property("2.0", network, inputs, outputs, cases_of(assertions, inputs, outputs))


def _require_flat(text: str) -> None:
    """Refuses nesting on which the library would end the process."""
    code = SKIPPED.sub("", text)
    depths = itertools.accumulate({"(": 1, ")": -1}.get(letter, 0) for letter in code)
    if max(depths, default=0) > DEEPEST:
        raise InputError(f"lists are nested more than {DEEPEST} deep")


def _reason(message: str) -> str:
    """The first of the library's errors, in one line."""
    try:
        first = json.loads(message)["errors"][0]
        return f"line {first['line']}: {first['message']}: {first['hint']}"
    except (ValueError, KeyError, IndexError, TypeError):
        return " ".join(message.split())[:300]


def _declared(query: Any) -> tuple[str, Variable, Variable]:
    """The only network's name, input and output. Raises InputError where there is more."""
    if len(query.networks) != 1:
        raise InputError(f"expected one network, got {len(query.networks)}")
    network = query.networks[0]
    if len(network.inputs) != 1 or len(network.outputs) != 1 or network.hidden:
        raise InputError("expected a network with one input, one output and no hidden variable")
    inputs, outputs = (_variable(part) for part in (network.inputs[0], network.outputs[0]))
    return str(network.name), inputs, outputs


def _variable(declared: Any) -> Variable:
    if declared.dtype.name not in TYPES:
        kind = declared.dtype.name
        raise InputError(f"{declared.name} must be of type float32 or real, got {kind}")
    return Variable(str(declared.name), TYPES[declared.dtype.name], tuple(declared.shape))


def _expression(node: Any) -> Expression:
    """A node of the library's as our own expression."""
    kind = type(node).__name__
    if kind == "Var":
        return Symbol("X" if node.kind.name == "Input" else "Y", _flat(node.indices, node.shape))
    if kind in ("Float", "Int", "Literal", "IntExpr"):
        return str(node.lexeme)
    if kind not in OPERATORS:
        raise InputError(f"VNN-LIB 2.0: {kind} is not supported")
    return [OPERATORS[kind], *map(_expression, _parts(node, kind))]


def _parts(node: Any, kind: str) -> list[Any]:
    if kind == "Negate":
        return [node.expr]
    if kind == "Minus":
        return [node.head, *node.rest]
    if kind in ("And", "Or", "Plus", "Multiply"):
        return list(node.args)
    return [node.lhs, node.rhs]


def _flat(indices: list[int], shape: list[int]) -> int:
    """The place of an entry in row-major order."""
    place = 0
    for index, side in zip(indices, shape, strict=True):
        place = place * side + index
    return place
