"""Settings as dataclasses that may hold each other: dotted names, plain JSON, and back."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any


def field_types(cls: type[Any], prefix: str = "") -> dict[str, Any]:
    """Dotted name -> annotated type of every setting; a held dataclass gives "held.field"."""
    types: dict[str, Any] = {}
    hints = typing.get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            types |= field_types(typing.cast(type, hint), f"{prefix}{field.name}.")
        else:
            types[prefix + field.name] = hint
    return types


def flat(settings: Any) -> dict[str, Any]:
    """Dotted name -> value of a dataclass instance's settings."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            values |= {f"{field.name}.{name}": v for name, v in flat(value).items()}
        else:
            values[field.name] = value
    return values


def changed(settings: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of a dataclass instance with dotted fields changed; its checks run again."""
    values = {name: value for name, value in changes.items() if "." not in name}
    held: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        if "." in name:
            outer, _, inner = name.partition(".")
            held.setdefault(outer, {})[inner] = value
    values |= {name: changed(getattr(settings, name), inner) for name, inner in held.items()}
    return dataclasses.replace(settings, **values)
