"""Plugins that are functions: `build` makes an architecture, `read` a data set."""

import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bench.data.sources import SOURCES, Arrays, Source
from bench.parsing import NORMS
from bench.plugins.beside import Beside
from bench.plugins.code_digests import code_behind
from relu.errors import InputError
from relu.network.architecture import Architecture
from relu.network.architectures import ARCHITECTURES
from relu.threat import Norm

USUAL_ARCH = "fc1"  # where a data set names none


class Functions:
    """Architectures and data sets: the bench's own, and those of modules that are added."""

    def __init__(self) -> None:
        self.architectures = dict(ARCHITECTURES)
        self.sources = dict(SOURCES)
        self.adding: Mapping[str, Callable[[str, ModuleType, Beside | None], bool]] = {
            "architectures": self.add_architecture,
            "datasets": self.add_source,
        }

    def add(self, name: str, module: ModuleType, beside: Beside | None) -> bool:
        """Adds what the module has under this name; whether there was anything.

        Raises InputError for what cannot be used, or for a name that is taken.
        """
        added = [add(name, module, beside) for add in self.adding.values()]
        return any(added)

    def add_architecture(self, name: str, module: ModuleType, beside: Beside | None) -> bool:
        """Adds what the module's `build(shape, classes)` makes, if it has one."""
        make = _function(module, "build", ("shape", "classes"))
        if make is None:
            return False
        _require_free(name, self.architectures, "architecture")
        self.architectures[name] = Architecture(
            name=name,
            summary=_summary(make, module),
            make=make,
            initialised=True,
            code=code_behind(module.__name__, beside).digest,
        )
        return True

    def add_source(self, name: str, module: ModuleType, beside: Beside | None) -> bool:
        """Adds what the module's `read(folder)` gives, if it has one.

        `shape`, `classes` and `eps` stand beside it; `arch` and `augment` may.
        """
        read = _function(module, "read", ("folder",))
        if read is None:
            return False
        _require_free(name, self.sources, "data set")
        file = Path(str(module.__file__))
        said = vars(module)
        self.sources[name] = Source(
            summary=_summary(read, module),
            shape=_shape(said.get("shape"), file),
            classes=_classes(said.get("classes"), file),
            arch=str(said.get("arch", USUAL_ARCH)),
            eps=_radii(said.get("eps", {}), file),
            augment=bool(said.get("augment", False)),
            read=lambda folder, download: _arrays(read, folder, name),
        )
        return True


def _require_free(name: str, there: Mapping[str, object], kind: str) -> None:
    if name in there:
        raise InputError(f"two {kind}s are called {name!r}: rename the file of yours")


def _function(module: ModuleType, name: str, takes: tuple[str, ...]) -> Callable[..., Any] | None:
    function = vars(module).get(name)
    if not inspect.isfunction(function) or function.__module__ != module.__name__:
        return None
    try:
        inspect.signature(function).bind(*takes)
    except TypeError as error:
        wanted = f"{name}({', '.join(takes)})"
        raise InputError(f"{module.__file__}: expected {wanted}, its {name}: {error}") from error
    return function


def _summary(function: Callable[..., Any], module: ModuleType) -> str:
    """The first line that says what it is."""
    return (function.__doc__ or module.__doc__ or "").strip().partition("\n")[0]


def _shape(value: object, file: Path) -> tuple[int, int, int]:
    sides = tuple(value) if isinstance(value, tuple | list) else ()
    if len(sides) != 3 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise InputError(
            f"data set {file}: expected shape = (channels, height, width), got {value!r}"
        )
    return sides[0], sides[1], sides[2]


def _classes(value: object, file: Path) -> int:
    if not isinstance(value, int) or value < 2:
        raise InputError(f"data set {file}: expected classes = a number from 2, got {value!r}")
    return value


def _radii(value: object, file: Path) -> Mapping[Norm, float]:
    radii: dict[Norm, float] = {}
    for name, eps in dict(value).items() if isinstance(value, Mapping) else [("", value)]:
        norm = next((known for known in NORMS if known == name), None)
        if norm is None or not isinstance(eps, int | float) or not 0 < eps < math.inf:
            expected = f"eps = {{norm: radius}} of {', '.join(NORMS)}"
            raise InputError(f"data set {file}: expected {expected}, got {value!r}")
        radii[norm] = float(eps)
    return radii


def _arrays(read: Callable[[Path], Any], folder: Path, name: str) -> Arrays:
    try:
        arrays = read(folder)
        return {part: np.asarray(array) for part, array in dict(arrays).items()}
    except InputError:
        raise
    except Exception as error:  # a plugin's own code
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"data set {name}: read() raises {type(error).__name__}: {reason}"
        ) from error
