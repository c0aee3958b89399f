"""An operation of a file as it is called: its values, constants and attributes, typed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relu.errors import InputError
from relu.network.onnx.network import NetworkBuilder, Symbol, Weight
from relu.network.onnx.parsing import Node


@dataclass(frozen=True, eq=False)
class Call:
    """A node with its inputs: values of the network, constants, or nothing where one is optional.

    prefix: of the names of its weights.
    """

    node: Node
    inputs: Sequence[Symbol | np.ndarray | None]
    opset: int
    prefix: str
    builder: NetworkBuilder

    def error(self, what: str) -> InputError:
        return InputError(f"{self.node.label} {what}")

    def input(self, place: int) -> Symbol | np.ndarray | None:
        """What stands at a place, if anything does."""
        return self.inputs[place] if place < len(self.inputs) else None

    @property
    def value(self) -> Symbol:
        """The value of the network that it takes first."""
        value = self.input(0)
        if not isinstance(value, Symbol):
            raise self.error("must take a value of the network first")
        return value

    def constant(self, place: int) -> np.ndarray | None:
        """What stands at a place, which must not depend on the input of the network."""
        value = self.input(place)
        if isinstance(value, Symbol):
            raise self.error(f"takes a value of the network as its input {place + 1}")
        return value

    def required(self, place: int) -> np.ndarray:
        """The constant at a place, which must be there."""
        constant = self.constant(place)
        if constant is None:
            raise self.error(f"has no input {place + 1}")
        return constant

    def attribute(self, name: str, kind: type, default: Any) -> Any:
        """An attribute, of a type."""
        value = self.node.attributes.get(name, default)
        if value is not default and not isinstance(value, kind):
            raise self.error(f"has an attribute {name} that is no {kind.__name__}")
        return value

    def integer(self, name: str, default: int) -> int:
        return int(self.attribute(name, int, default))

    def number(self, name: str, default: float) -> float:
        return float(self.attribute(name, float, default))

    def text(self, name: str, default: str) -> str:
        return str(self.attribute(name, str, default))

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A tuple of whole numbers, if the attribute is there."""
        values: tuple[int, ...] | None = self.attribute(name, tuple, None)
        if values is not None and not all(isinstance(value, int) for value in values):
            raise self.error(f"has an attribute {name} that is no list of whole numbers")
        return values

    def listed(self, name: str, place: int, since: int) -> tuple[int, ...] | None:
        """Whole numbers of an attribute; from opset `since` on, of the input at a place."""
        if self.opset < since:
            return self.integers(name)
        if name in self.node.attributes:
            raise self.error(f"has the attribute {name}, which opset {self.opset} does not know")
        constant = self.constant(place)
        if constant is None:
            return None
        if constant.dtype.kind != "i" or constant.ndim > 1 or constant.size > 64:
            raise self.error(f"needs a list of whole numbers as its input {place + 1}")
        return tuple(int(value) for value in constant.ravel())

    def axes(self, numbers: Sequence[int], rank: int) -> tuple[int, ...]:
        """Axes among `rank`, counted from the front; the inputs' axis is refused."""
        if any(not -rank <= number < rank for number in numbers):
            raise self.error(f"names the axes {list(numbers)}, of {rank}")
        axes = tuple(number % rank for number in numbers)
        if 0 in axes:
            raise self.error("changes the axis of the inputs")
        if len(set(axes)) < len(axes):
            raise self.error(f"names an axis twice: {list(numbers)}")
        return axes

    def apply(self, function: Callable[..., Any] | Weight, *args: Any, **kwargs: Any) -> Symbol:
        """A step of the network."""
        return self.builder.apply(function, *args, **kwargs)

    def parameter(self, role: str, values: np.ndarray) -> Weight:
        return self.builder.parameter(f"{self.prefix}_{role}", values)

    def buffer(self, role: str, values: np.ndarray) -> Weight:
        return self.builder.buffer(f"{self.prefix}_{role}", values)
