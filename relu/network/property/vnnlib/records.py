"""What a VNN-LIB file says."""

import math
from dataclasses import dataclass
from typing import Literal

from relu.network.property.case import Case


@dataclass(frozen=True)
class Variable:
    """A declared tensor: its name, type of its entries as the file says it, and shape."""

    name: str
    type: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Property:
    """What is asked of a network: whether some input violates one of the cases.

    network: its name in the file, where it has one. cases: none where every box is empty.
    """

    version: Literal["1.0", "2.0"]
    network: str | None
    input: Variable
    output: Variable
    cases: tuple[Case, ...]
