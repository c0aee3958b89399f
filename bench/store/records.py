"""Typed records to plain JSON and back."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from relu.errors import InputError

Record = TypeVar("Record")


def plain(value: Any) -> Any:
    """A record, and all that it holds, as json would give it back: dicts, lists, plain values."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, tuple | list) else value


def make_record(cls: type[Record], fields: Mapping[str, Any], what: str) -> Record:
    """An instance of a dataclass with these fields, those of `what`.

    Raises InputError where one is not the class's, or one is missing that has no default.
    """
    known = dataclasses.fields(cls)  # type: ignore[arg-type]
    nothing = dataclasses.MISSING
    needed = [f.name for f in known if f.default is nothing and f.default_factory is nothing]
    missing = [name for name in needed if name not in fields]
    unknown = [name for name in fields if name not in {field.name for field in known}]
    if missing or unknown:
        came = f"got {unknown[0]!r}" if unknown else f"{missing[0]!r} is missing"
        valid = ", ".join(field.name for field in known)
        raise InputError(f"{what} expects {valid}; {came}")
    return cls(**fields)
