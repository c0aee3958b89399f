"""A device that is none: tensors of this machine's memory that say they are elsewhere.

What mixes devices raises as it would on a card; all else is computed by the CPU's own kernels, so
that results must be those of the CPU, bit by bit. A process that asks for it cannot go back.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

NAME = "lookalike"
ATEN = torch.ops.aten
TRANSFERS = (ATEN.copy_.default, ATEN._to_copy.default)
INDEXINGS = (ATEN.index.Tensor, ATEN.index_put.default, ATEN.index_put_.default)


class MixedDevices(RuntimeError):
    """Tensors of two devices met in one operation."""


class Elsewhere(torch.Tensor):
    """A tensor that says it is on the lookalike."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> "Elsewhere":
        made: Elsewhere = torch.Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=torch.device(NAME, 0),
        )
        return made

    def __init__(self, here: Tensor) -> None:
        self.here = here.detach()

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        if not force:
            raise TypeError("not on the CPU")
        return self.detach().cpu().numpy()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return computed(operation, args, kwargs or {})


class Placing(TorchDispatchMode):
    """Sees operations that are given no tensor of the lookalike but make one."""

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return computed(operation, args, kwargs or {})


class Making(TorchFunctionMode):
    """Makes tensors of Python's numbers, which operations never see as such."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function is torch.tensor and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return torch.tensor(*args, **kwargs).to(device)
        if function is Tensor.new_tensor and isinstance(args[0], Elsewhere):
            kwargs = {"dtype": args[0].dtype, **kwargs}
            return torch.tensor(*args[1:], **kwargs).to(args[0].device)
        return function(*args, **kwargs)


def register() -> None:
    """Makes the device known to this process, in which nothing was differentiated yet."""
    backend_registration._setup_privateuseone_for_python_backend(NAME)
    torch.__future__.set_swap_module_params_on_conversion(True)


@contextlib.contextmanager
def lookalike() -> Iterator[torch.device]:
    """The device, which can be used inside."""
    with pytest.MonkeyPatch.context() as patch, Placing(), Making():
        generator = torch.Generator
        patch.setattr(
            torch, "Generator", lambda device="cpu": generator()
        )  # it has none of its own
        yield torch.device(NAME, 0)


def computed(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What the CPU makes of it, on the device where it belongs. Raises MixedDevices."""
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    elsewhere = any(isinstance(tensor, Elsewhere) for tensor in tensors)
    if elsewhere:
        _require_one_device(operation, args, tensors)
    asked = kwargs.get("device")
    if asked is not None:
        elsewhere = torch.device(asked).type == NAME
        kwargs = {**kwargs, "device": torch.device("cpu")}
    plain_args, plain_kwargs = tree_map(_here, (tuple(args), dict(kwargs)))
    result = operation(*plain_args, **plain_kwargs)
    if operation._schema.is_mutable:
        return _as_given(result, args, kwargs)
    return tree_map(_elsewhere, result) if elsewhere else result


def _require_one_device(operation: Any, args: Sequence[Any], tensors: Sequence[Tensor]) -> None:
    """A card takes single numbers, and indices, from the CPU as well; nothing else."""
    if operation in TRANSFERS:
        return
    if operation in INDEXINGS and isinstance(args[0], Elsewhere):
        tensors = [value for value in args[2:3] if isinstance(value, Tensor)]
    strangers = [t for t in tensors if not isinstance(t, Elsewhere) and t.ndim > 0]
    if strangers:
        raise MixedDevices(f"{operation}: {tuple(strangers[0].shape)} is on the CPU")


def _here(value: Any) -> Any:
    return value.here if isinstance(value, Elsewhere) else value


def _elsewhere(value: Any) -> Any:
    return Elsewhere(value) if isinstance(value, Tensor) else value


def _as_given(result: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The tensors that were written to, as the caller knows them."""
    given = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, Tensor)]

    def same(value: Any) -> Any:
        return next((t for t in given if _here(t) is value), value)

    return tree_map(same, result)
