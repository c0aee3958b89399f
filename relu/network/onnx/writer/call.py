"""An operation of a torch module as it is called, to be written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relu.network.layers import Shape
from relu.network.onnx.network import Symbol
from relu.network.onnx.writer.file import FileBuilder
from relu.network.operations.call import Invocation


@dataclass(frozen=True, eq=False)
class Call(Invocation):
    """An operation with its arguments: symbols for values of the network, constants as they are.

    node: what the file calls it. shape: of what it gives, for each input.
    """

    node: str
    shape: Shape
    file: FileBuilder

    @property
    def value(self) -> Symbol:
        """What it is applied to."""
        if not self.args or not isinstance(self.args[0], Symbol):
            raise self.error("takes no value of the network first")
        return self.args[0]

    def images(self) -> Symbol:
        """What it is applied to: images."""
        if len(self.value.shape) != 3:
            raise self.error(f"is applied to values of {('n', *self.value.shape)}, no images")
        return self.value

    def add(self, operation: str, inputs: Sequence[str], **attributes: Any) -> Symbol:
        """The operation of the file that it is."""
        return self.file.add(operation, self.node, inputs, self.shape, **attributes)

    def numbers(self, role: str, values: Any) -> str:
        """A weight of it, by name."""
        if isinstance(values, Symbol):
            raise self.error(f"takes its {role} from a value of the network")
        return self.file.numbers(f"{self.node}.{role}", values)

    def operand(self, role: str, value: Any) -> str:
        """The name of a value of the network, or of a constant."""
        if isinstance(value, Symbol):
            return value.name
        if not isinstance(value, Tensor | int | float) or isinstance(value, bool):
            raise self.error(f"takes a {type(value).__name__}, which is not supported")
        if isinstance(value, Tensor):
            return self.numbers(role, value)
        return self.numbers(role, torch.tensor(float(value), dtype=torch.float64))

    def axis(self, number: int, rank: int) -> int:
        """An axis among `rank`, counted from the front; the inputs' axis is refused."""
        axis = number % rank
        if not axis:
            raise self.error("changes the axis of the inputs")
        return axis
