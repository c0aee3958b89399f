"""Inputs and outputs as text: what stands below "sat"."""

import itertools
import re
from collections.abc import Sequence
from decimal import Decimal

from jaxtyping import Float
from torch import Tensor

from relu.network.property.vnnlib.records import Property, Variable


def assignment(asked: Property, x: Float[Tensor, " *shape"], y: Float[Tensor, " k"]) -> str:
    """Every entry's number, in row-major order, one a line.

    In 2.0, a line with the variable's name, type and shape stands before its numbers; in 1.0, each
    is ((X_0 ...) ... (Y_0 ...)). Numbers have no exponent, and all digits of the float32.
    """
    if asked.version == "2.0":
        lines = [*_tensor(asked.input, x), *_tensor(asked.output, y)]
        return "".join(f"{line}\n" for line in lines)
    pairs = [*_pairs(asked.input, x), *_pairs(asked.output, y)]
    return "({})\n".format("\n".join(pairs))


PAIR = re.compile(r"\(\s*X_(\d+)\s+([^\s()]+)\s*\)")


def read_inputs(text: str) -> list[float] | None:
    """The inputs of an assignment as the standards, 1.0 and 2.0, write it; None for other text.

    In 2.0, the first variable's.
    """
    pairs = {int(number): value for number, value in PAIR.findall(text)}
    if pairs:
        texts = [pairs[j] for j in range(len(pairs)) if j in pairs]
        return _floats(texts) if len(texts) == max(pairs) + 1 else None
    lines = [line.strip() for line in text.splitlines() if line.strip() not in ("", "sat")]
    numbers = itertools.takewhile(lambda line: not line[0].isalpha(), lines[1:])
    return _floats(list(numbers)) or None


def _floats(texts: Sequence[str]) -> list[float] | None:
    try:
        return [float(text) for text in texts]
    except ValueError:
        return None


def _tensor(variable: Variable, values: Tensor) -> list[str]:
    shape = ",".join(map(str, variable.shape))
    return [f"{variable.name} {variable.type} [{shape}]", *_numbers(values)]


def _pairs(variable: Variable, values: Tensor) -> list[str]:
    return [f"({variable.name}_{j} {text})" for j, text in enumerate(_numbers(values))]


def _numbers(values: Tensor) -> list[str]:
    texts = [format(Decimal(value), "f") for value in values.flatten().tolist()]
    return [text if "." in text else f"{text}.0" for text in texts]
