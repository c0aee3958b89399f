"""Grids: several values of a setting, and all settings crossed."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from bench.parsing import split
from bench.plugins.settings import Overrides
from relu.errors import InputError


def grid_points(axes: Mapping[str, list[str]], asked: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The assignments of each point of the grid: all values of all fields crossed."""
    axes = dict(axes)
    fields: set[str] = set()
    for text in asked:
        field, equals, values = (part.strip() for part in text.partition("="))
        if not equals:
            raise InputError(f"--grid expects name.field=value,value, got {text!r}")
        if field in fields:
            raise InputError(f"--grid {field} is given twice: put all its values into one")
        fields.add(field)
        axes[field] = split(values, "--grid", empty=False)
    return itertools.product(
        *([f"{field}={value}" for value in dict.fromkeys(axes[field])] for field in axes)
    )


def merged(first: Overrides, second: Overrides) -> Overrides:
    """All fields of both, the second's before the first's."""
    return {
        plugin: {**first.get(plugin, {}), **second.get(plugin, {})}
        for plugin in dict.fromkeys([*first, *second])
    }


def require_new(field: Overrides, overrides: Overrides, what: str) -> None:
    """A field of the grid is not given by another name, or by --set, too."""
    for plugin, fields in field.items():
        if any(name in overrides.get(plugin, {}) for name in fields):
            raise InputError(f"{what}: this field is given twice")
