"""The torch module of an ONNX file: a list of steps, each a function of torch."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from relu.errors import InputError
from relu.network.layers import Shape
from relu.network.onnx.limits import (
    MOST_PRODUCTS,
    MOST_VALUES,
    MOST_WEIGHTS,
    Total,
)

BATCH = 2  # inputs of which shapes are inferred


@dataclass(frozen=True)
class Symbol:
    """A value of the network, for each input. shape: without the inputs' axis."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Weight:
    """A parameter or buffer of the network, or a module, by its name."""

    name: str


@dataclass(frozen=True)
class Step:
    """A function of values, weights and settings, and what it gives; a module is a Weight."""

    function: Callable[..., Any] | Weight
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: str


@dataclass(eq=False)
class NetworkBuilder:
    """Steps, shapes and weights of a network, as its operations are read one by one."""

    steps: list[Step] = field(default_factory=list)
    parameters: dict[str, Tensor] = field(default_factory=dict)
    buffers: dict[str, Tensor] = field(default_factory=dict)
    modules: dict[str, nn.Module] = field(default_factory=dict)
    entries: Total = field(default_factory=lambda: Total("values", MOST_VALUES))
    stored: Total = field(default_factory=lambda: Total("weights", MOST_WEIGHTS))
    products: Total = field(default_factory=lambda: Total("products", MOST_PRODUCTS))

    def apply(self, function: Callable[..., Any] | Weight, *args: Any, **kwargs: Any) -> Symbol:
        """One more step; its shape is inferred by torch, which allocates nothing."""
        operation: Any = function
        if isinstance(function, Weight):
            operation = copy.deepcopy(self.modules[function.name]).to("meta")
        result = operation(*resolved(args, self._symbolic), **kwargs)
        if result.ndim < 2 or len(result) != BATCH:
            raise InputError("mixes inputs, or has an axis too few")
        shape = tuple(int(size) for size in result.shape[1:])
        self.entries.add(shape)
        for arg in args:
            if isinstance(arg, Weight):
                self.products.add(shape, self._tensor(arg)[:1].numel())
        symbol = Symbol(f"value_{len(self.steps)}", shape)
        self.steps.append(Step(function, args, kwargs, symbol.name))
        return symbol

    def _tensor(self, weight: Weight) -> Tensor:
        tensor = self.parameters.get(weight.name, self.buffers.get(weight.name))
        assert tensor is not None
        return tensor.view(-1) if not tensor.ndim else tensor

    def _symbolic(self, arg: Symbol | Weight) -> Tensor:
        if isinstance(arg, Symbol):
            return torch.empty(BATCH, *arg.shape, device="meta")
        stored = self.parameters if arg.name in self.parameters else self.buffers
        return torch.empty_like(stored[arg.name], device="meta")

    def parameter(self, name: str, values: np.ndarray | Tensor) -> Weight:
        """A trainable weight, in float32."""
        self.parameters[name] = self._float32(values)
        return Weight(name)

    def buffer(self, name: str, values: np.ndarray | Tensor) -> Weight:
        """A constant, in float32."""
        self.buffers[name] = self._float32(values)
        return Weight(name)

    def module(self, name: str, module: nn.Module) -> Weight:
        """A module of torch, and what is stored in it; on the meta device its shapes are free."""
        self.modules[name] = module
        return Weight(name)

    def _float32(self, values: np.ndarray | Tensor) -> Tensor:
        self.stored.add(values.shape)
        return float32(values)


def float32(values: np.ndarray | Tensor) -> Tensor:
    """The values as a tensor of their own. Raises InputError where they are no finite numbers."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind != "f":
            raise InputError(f"has weights of type {values.dtype}, expected a type of float")
        values = torch.from_numpy(np.array(values, order="C"))
    tensor = values.detach().to(torch.float32).clone(memory_format=torch.contiguous_format)
    if not bool(tensor.isfinite().all()):
        raise InputError("has weights that are no finite numbers")
    return tensor


def resolved(args: Any, resolve: Callable[[Symbol | Weight], Any]) -> Any:
    """The arguments with tensors in the places of symbols and weights."""
    if isinstance(args, Symbol | Weight):
        return resolve(args)
    if isinstance(args, tuple | list):
        return type(args)(resolved(arg, resolve) for arg in args)
    return args


class OnnxNetwork(nn.Module):
    """The network of an ONNX file: (n, *shape) to (n, classes), for any number n of inputs.

    shape: of one input, and dtype, of all, as the file says. inputs, outputs: their names there.
    Weights are float32, whatever the file stores.
    """

    def __init__(
        self,
        builder: NetworkBuilder,
        source: Symbol,
        logits: Symbol,
        names: tuple[str, str],
        dtype: str,
    ) -> None:
        super().__init__()
        self.shape = source.shape
        self.classes = logits.shape[0]
        self.dtype = dtype
        self.inputs = names[:1]
        self.outputs = names[1:]
        self._ends = (source.name, logits.name)
        self._steps = tuple(builder.steps)
        self._last_uses = _last_uses(self._steps, logits.name)
        for name, tensor in builder.parameters.items():
            self.register_parameter(name, nn.Parameter(tensor))
        for name, tensor in builder.buffers.items():
            self.register_buffer(name, tensor)
        for name, module in builder.modules.items():
            self.add_module(name, module)

    def forward(self, x: Any) -> Any:
        """The logits; of the symbol that stands for inputs, where the network is traced."""
        values: dict[str, Any] = {self._ends[0]: x}

        def resolve(arg: Symbol | Weight) -> Any:
            return values[arg.name] if isinstance(arg, Symbol) else getattr(self, arg.name)

        for step, unused in zip(self._steps, self._last_uses, strict=True):
            function = resolved(step.function, resolve)
            values[step.result] = function(*resolved(step.args, resolve), **step.kwargs)
            for name in unused:
                values.pop(name, None)
        return values[self._ends[1]]


def _last_uses(steps: Sequence[Step], logits: str) -> tuple[tuple[str, ...], ...]:
    """The values that no step after each one needs."""
    last: dict[str, int] = {}

    def noted(i: int) -> Callable[[Symbol | Weight], Any]:
        return lambda arg: last.__setitem__(arg.name, i) if isinstance(arg, Symbol) else None

    for i, step in enumerate(steps):
        last[step.result] = i
        resolved(step.args, noted(i))
    return tuple(
        tuple(name for name, place in last.items() if place == i and name != logits)
        for i in range(len(steps))
    )
