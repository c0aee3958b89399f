"""Inputs and outputs as text: what stands below "sat"."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from bench.data.vnnlib.records import Property, Variable


def assignment(asked: Property, x: Float[Tensor, " *shape"], y: Float[Tensor, " k"]) -> str:
    """Every entry's number, in row-major order, one a line.

    In 2.0, a line with the variable's name, type and shape stands before its numbers; in 1.0, each
    is ((X_0 ...) ... (Y_0 ...)). Numbers have no exponent, and as many digits as say the float32
    exactly to whoever reads them as float32 or float64.
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
    return [
        np.format_float_positional(np.float64(value), unique=True, trim="0")
        for value in values.flatten().tolist()
    ]
