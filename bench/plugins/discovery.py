"""Finds plugins: files in their folders, files given by path, installed packages."""

import functools
import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import evaluators
import methods
from bench.data.npz import NPZ, with_file
from bench.plugins import nested_settings
from bench.plugins.beside import Beside
from bench.plugins.catalogue import Catalogue, Kind, Plugin
from bench.plugins.code_digests import code_behind
from bench.plugins.contract import check_calls, check_trade_off, check_words
from bench.plugins.functions import Functions
from relu.errors import InputError
from relu.ranges import declares_range, require

DOES: Mapping[Kind, str] = {"method": "loss", "evaluator": "judge"}
REQUIRED: Mapping[Kind, tuple[str, ...]] = {
    "method": ("label", "loss"),
    "evaluator": ("label", "resource", "refusal", "judge"),
}


def discover(files: Sequence[Path] = (), data: Path | None = None) -> Catalogue:
    """Everything that is there; `files` are plugin files given by path, `data` may be a data set.

    Raises InputError for what is unusable.
    """
    plugins = [p for package in (methods, evaluators) for p in _in_package(package)]
    for kind in DOES:
        for point in entry_points(group=f"bench.{kind}s"):
            plugins.append(_announced(point.name, point.value, point.load, kind))
    functions = Functions()
    for group, add in functions.adding.items():
        for point in entry_points(group=f"bench.{group}"):
            add(point.name, _imported(Path(point.value), point.load), None)
    for file in {file.resolve(): file for file in files}.values():
        plugins += _in_file(file, functions)
    sources = functions.sources
    if data is not None and data.suffix == NPZ:
        sources = with_file(sources, data)
    return Catalogue(
        methods=_by_name(plugins, "method"),
        evaluators=_by_name(plugins, "evaluator"),
        architectures=functions.architectures,
        sources=sources,
    )


def _by_name(plugins: Sequence[Plugin], kind: Kind) -> dict[str, Plugin]:
    by_name: dict[str, Plugin] = {}
    for plugin in (p for p in plugins if p.kind == kind):
        if plugin.name in by_name:
            if plugin.source.resolve() == by_name[plugin.name].source.resolve():
                continue  # given by path, too
            raise InputError(
                f"two {kind}s are called {plugin.name!r}: {by_name[plugin.name].source} "
                f"and {plugin.source}; rename one file"
            )
        by_name[plugin.name] = plugin
    return by_name


def _in_package(package: ModuleType) -> list[Plugin]:
    names = [m.name for m in pkgutil.iter_modules(package.__path__) if m.name != "interface"]
    names = [name for name in names if not name.startswith("_")]
    plugins = []
    for name in sorted(names):
        load = functools.partial(importlib.import_module, f"{package.__name__}.{name}")
        file = Path(package.__path__[0]) / f"{name}.py"
        plugins += _at_least_one(file, _in_module(_imported(file, load)))
    return plugins


def _imported(file: Path, load: Callable[[], ModuleType]) -> ModuleType:
    try:
        return load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"plugin {file} raises on import: {type(error).__name__}: {reason}"
        ) from error


def _at_least_one(file: Path, plugins: list[Plugin]) -> list[Plugin]:
    if not plugins:
        raise InputError(
            f"plugin {file} has no method or evaluator: expected a frozen dataclass with "
            f"{' and '.join(REQUIRED['method'])}, or with {', '.join(REQUIRED['evaluator'])}; "
            f"nor build(shape, classes), an architecture, nor read(folder), a data set"
        )
    return plugins


def _in_file(file: Path, functions: Functions) -> list[Plugin]:
    if not file.is_file():
        what = "a folder" if file.is_dir() else "not there"
        raise InputError(f"--plugin must name a Python file, {str(file)!r} is {what}")
    if file.suffix != ".py":
        raise InputError(f"--plugin must name a Python file (.py), got {str(file)!r}")
    beside = Beside(file)
    module = _imported(file, beside.load)
    plugins = _in_module(module, beside)
    has_functions = functions.add(file.stem, module, beside)
    return plugins if has_functions else _at_least_one(file, plugins)


def _announced(name: str, value: str, load: Any, kind: Kind) -> Plugin:
    try:
        cls = load()
    except Exception as error:
        raise InputError(f"{kind} {name!r} ({value}) of an installed package: {error}") from error
    return _checked(kind, name, cls)


def _in_module(module: ModuleType, beside: Beside | None = None) -> list[Plugin]:
    """The classes a module defines that do what a method or an evaluator does; one of each kind."""
    plugins = []
    stem = Path(str(module.__file__)).stem
    classes = [
        c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__
    ]
    for kind, does in DOES.items():
        candidates = [
            c for c in classes if callable(getattr(c, does, None)) and c.__name__[0] != "_"
        ]
        if len(candidates) > 1:
            names = ", ".join(c.__name__ for c in candidates)
            raise InputError(f"{module.__file__} must define one {kind}, it has {names}")
        plugins += [_checked(kind, stem, c, beside) for c in candidates]
    return plugins


def _checked(kind: Kind, name: str, cls: type[Any], beside: Beside | None = None) -> Plugin:
    try:
        source = Path(inspect.getsourcefile(cls) or "")
    except (TypeError, OSError):
        source = Path()
    if not source.is_file():
        raise InputError(f"{kind} {name!r}: {cls!r} is not a class in a Python file")
    missing = [part for part in REQUIRED[kind] if not hasattr(cls, part)]
    if missing:
        raise InputError(f"{kind} {cls.__name__} in {source} lacks {', '.join(missing)}")
    if "__dataclass_params__" not in vars(cls) or not cls.__dataclass_params__.frozen:
        raise InputError(f"{kind} {cls.__name__} in {source} must be a frozen dataclass")
    if kind == "evaluator" and cls.resource not in ("gpu", "cpu"):
        raise InputError(f"{kind} {cls.__name__} in {source}: resource must be gpu or cpu")
    try:
        defaults = nested_settings.flat(cls())
        json.dumps(defaults, allow_nan=False)
        for field, hint in nested_settings.field_types(cls).items():
            if declares_range(hint):
                require(defaults[field], hint, field)
    except Exception as error:
        raise InputError(
            f"{kind} {cls.__name__} in {source}: its settings need types and plain finite "
            f"defaults, but: {error}"
        ) from error
    check_words(kind, name, cls, source)
    check_calls(kind, cls, source)
    check_trade_off(cls, source, defaults)
    code = code_behind(cls.__module__, beside)
    return Plugin(kind=kind, name=name, cls=cls, source=source, code=code)
