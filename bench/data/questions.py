"""Whether a network is robust at an input, as a question in VNN-LIB 1.0."""

import math
from collections.abc import Iterator
from fractions import Fraction

from jaxtyping import Float
from torch import Tensor

from relu.errors import InputError
from relu.threat import Threat

PLACES = 17  # decimals of an edge, where it is no shorter number


def question(
    x: Float[Tensor, "*shape"], label: int, classes: int, threat: Threat, about: str
) -> str:
    """The property of all inputs in linf's ball and the box that are misclassified.

    x: the input, in the shape that the network's file takes; its entries are X_0, X_1, ... row by
    row. The edges of ball and box are formed exactly and rounded outward to PLACES decimals. An
    input is misclassified where any other logit is at least the label's: `unsat` is robust. about:
    what the first line says. Raises InputError for other norms, whose balls are no boxes.
    """
    if threat.norm != "linf":
        raise InputError(f"VNN-LIB 1.0 has boxes only, and a ball of {threat.norm} is none")
    conditions = [*_box(x, threat), *_other(label, classes)]
    return "\n".join([f"; {about}", *_declared(x.numel(), classes), *conditions, ""])


def _declared(inputs: int, classes: int) -> Iterator[str]:
    for kind, count in (("X", inputs), ("Y", classes)):
        for i in range(count):
            yield f"(declare-const {kind}_{i} Real)"


def _box(x: Tensor, threat: Threat) -> Iterator[str]:
    eps = Fraction(float(threat.eps))
    low, high = (Fraction(edge) for edge in threat.box)
    for i, value in enumerate(x.double().flatten().tolist()):
        center = Fraction(value)
        yield f"(assert (>= X_{i} {rounded_down(max(center - eps, low))}))"
        yield f"(assert (<= X_{i} {rounded_up(min(center + eps, high))}))"


def _other(label: int, classes: int) -> Iterator[str]:
    yield "(assert (or"
    for other in range(classes):
        if other != label:
            yield f"    (and (>= Y_{other} Y_{label}))"
    yield "))"


def rounded_down(number: Fraction) -> str:
    """The largest number of PLACES decimals that is not above this one, without an exponent."""
    return _positional(math.floor(number * 10**PLACES))


def rounded_up(number: Fraction) -> str:
    """The least number of PLACES decimals that is not below this one, without an exponent."""
    return _positional(math.ceil(number * 10**PLACES))


def _positional(units: int) -> str:
    """So many units of the last decimal."""
    whole, rest = divmod(abs(units), 10**PLACES)
    sign = "-" if units < 0 else ""
    decimals = f"{rest:0{PLACES}d}".rstrip("0") or "0"
    return f"{sign}{whole}.{decimals}"
