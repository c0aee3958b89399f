"""Inputs and outputs as text: what stands below "sat"."""

from decimal import Decimal

from jaxtyping import Float
from torch import Tensor

from bench.data.vnnlib.records import Property, Variable


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


def _tensor(variable: Variable, values: Tensor) -> list[str]:
    shape = ",".join(map(str, variable.shape))
    return [f"{variable.name} {variable.type} [{shape}]", *_numbers(values)]


def _pairs(variable: Variable, values: Tensor) -> list[str]:
    return [f"({variable.name}_{j} {text})" for j, text in enumerate(_numbers(values))]


def _numbers(values: Tensor) -> list[str]:
    texts = [format(Decimal(value), "f") for value in values.flatten().tolist()]
    return [text if "." in text else f"{text}.0" for text in texts]
