"""An operation of a network as it is called: what it is applied to, and its settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from relu.errors import InputError
from relu.network.builder import LayerBuilder
from relu.network.operations.order import settled
from relu.network.value import Value


@dataclass(frozen=True, eq=False)
class Invocation:
    """An operation of torch with its arguments. module: whose call it is, if any's."""

    name: str
    module: nn.Module | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def setting(self, name: str, place: int, default: Any) -> Any:
        """Of the module, or of the function's arguments."""
        if self.module is not None:
            return getattr(self.module, name)
        return self.kwargs.get(name, self.args[place] if len(self.args) > place else default)

    def error(self, what: str) -> InputError:
        return InputError(f"{self.name} {what}")


@dataclass(frozen=True, eq=False)
class Call(Invocation):
    """An operation of a network. args: values, constants.

    only_for_maximum: whether nothing but a max-pooling takes what comes out.
    """

    builder: LayerBuilder
    only_for_maximum: bool

    @property
    def value(self) -> Value:
        """What it is applied to."""
        value = self.args[0]
        if not isinstance(value, Value):
            raise self.error("takes a constant first")
        return value

    def images(self) -> tuple[Value, tuple[int, int, int]]:
        """What it is applied to, channels last, and its shape: an image's."""
        shape = self.value.shape
        if len(shape) != 3:
            raise self.error(f"needs images of channels x height x width, got shape {tuple(shape)}")
        return settled(self.builder, self.value), (shape[0], shape[1], shape[2])


def pair_of(value: Any) -> tuple[int, int]:
    """Height and width, for which a number may stand."""
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))
