"""What `list` shows: everything that options name, and settings with their ranges."""

import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from bench.data.sources import Source
from bench.face.suites import describe, suites
from bench.parsing import resolve
from bench.plugins.catalogue import Catalogue, Plugin
from bench.plugins.nested_settings import field_types, flat
from bench.plugins.training import Training
from relu.ranges import in_symbols
from relu.threat import format_eps

COLUMNS = 80
FIXED = "\N{NO-BREAK SPACE}"  # inside a setting, where no line ends


def listed(catalogue: Catalogue) -> str:
    """Methods, evaluators, the training, data sets, architectures and suites."""
    return "\n".join(
        [
            _plugins("METHODS", catalogue.methods),
            _plugins("EVALUATORS", catalogue.evaluators),
            f"TRAINING of every method\n  train\n{_settings(Training)}",
            f"DATA SETS (input shape, classes, default architecture, default eps)\n"
            f"{_data_sets(catalogue.sources)}",
            f"ARCHITECTURES\n"
            f"{_lines([(name, arch.summary) for name, arch in catalogue.architectures.items()])}",
            f"SUITES (run one with --suite NAME)\n{_lines([_suite(name) for name in suites()])}",
        ]
    )


def described(name: str, catalogue: Catalogue) -> str:
    """What a method, an evaluator or the training says of itself, and its settings.

    Raises InputError with the valid names.
    """
    plugins = [*catalogue.methods.values(), *catalogue.evaluators.values()]
    aliases: dict[str, tuple[str, ...]] = {"train": ()}
    for plugin in plugins:
        aliases[plugin.name] = (*aliases.get(plugin.name, ()), *plugin.aliases)
    key = resolve(name, aliases, "method or evaluator")
    if key == "train":
        return _described("train: the loop of every method", Training)
    return "\n".join(
        _described(f"{plugin.kind} {key} ({plugin.cls.label})", plugin.cls)
        for plugin in plugins
        if plugin.name == key
    )


def _described(head: str, cls: type[Any]) -> str:
    hints = field_types(cls)
    settings = [(n, str(value), in_symbols(hints[n])) for n, value in flat(cls()).items()]
    headers = ("setting", "default", "range")
    table = tabulate(settings, headers=headers, tablefmt="plain", disable_numparse=True)
    about = textwrap.indent(inspect.cleandoc(cls.__doc__ or ""), "  ")
    parts = [head, about, textwrap.indent(table, "  ") if settings else "  no settings"]
    return "\n\n".join(parts) + "\n" + _trade_off(cls)


def _plugins(title: str, plugins: Mapping[str, Plugin]) -> str:
    """A line for each plugin, and its settings below."""
    docs = [(p.cls.__doc__ or "").strip().partition("\n")[0] for p in plugins.values()]
    rows = [(p.name, p.cls.label, doc) for p, doc in zip(plugins.values(), docs, strict=True)]
    heads = _lines(rows).splitlines(keepends=True)
    text = "".join(
        head + _settings(plugin.cls) for head, plugin in zip(heads, plugins.values(), strict=True)
    )
    return f"{title} (settings: default, range; change one with --set NAME.FIELD=VALUE)\n{text}"


def _settings(cls: type[Any]) -> str:
    """The settings of a class, in indented lines."""
    fields = [field.replace(" ", FIXED) for field in _fields(cls)]
    indent = " " * 6
    filled = textwrap.fill(
        ", ".join(fields) or "no settings",
        COLUMNS,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    return filled.replace(FIXED, " ") + "\n" + _trade_off(cls)


def _trade_off(cls: type[Any]) -> str:
    """A line about what `front` tries, where the class says so."""
    axes = getattr(cls, "trade_off", {})
    tried = ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in axes.items())
    return f"      front tries: {tried}\n" if tried else ""


def _fields(cls: type[Any]) -> Iterator[str]:
    """As "steps=40 (>= 1)": each setting, its default and the range that it declares."""
    hints = field_types(cls)
    for name, value in flat(cls()).items():
        symbols = in_symbols(hints[name])
        yield f"{name}={value} ({symbols})" if symbols else f"{name}={value}"


def _data_sets(sources: Mapping[str, Source]) -> str:
    return _lines(
        [
            (
                name,
                source.summary,
                "x".join(map(str, source.shape)),
                source.classes,
                source.arch,
                ", ".join(f"{norm} {format_eps(eps)}" for norm, eps in source.eps.items()),
            )
            for name, source in sources.items()
        ]
    )


def _suite(name: str) -> tuple[str, str]:
    said, published = describe(name)
    return name, f"{said} [beside the published {', '.join(published)}]" if published else said


def _lines(rows: Sequence[Sequence[object]]) -> str:
    table = tabulate(rows, tablefmt="plain", disable_numparse=True)
    return "".join(f"  {line}\n" for line in table.splitlines())
