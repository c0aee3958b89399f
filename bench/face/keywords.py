"""Values of Python as the texts that options are."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from relu.errors import InputError

Path = str | PathLike[str]
Names = str | Sequence[str]
Numbers = str | float | Sequence[float | str]
Assignments = Mapping[str, Any] | Sequence[str]
"""{"mmr.weight": 0.5}, or ["mmr.weight=0.5"] as on the command line"""


def text(value: Any, name: str) -> str | None:
    """A value, or several between commas, as a text; None stays None. Raises InputError."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ",".join(f"{key}={text(part, name)}" for key, part in value.items())
    if isinstance(value, PathLike):
        return str(value)
    if isinstance(value, bool | int | float):
        return repr(value).lower() if isinstance(value, bool) else repr(value)
    if isinstance(value, Sequence | range) or hasattr(value, "tolist"):
        listed = value.tolist() if hasattr(value, "tolist") else value
        parts = listed if isinstance(listed, Sequence | range) else [listed]
        return ",".join(str(text(part, name)) for part in parts)
    raise InputError(f"{name} expects text, numbers or a list of these, got {value!r}")


def said(value: Any, name: str, usual: str) -> str:
    """As `text`, with a word for None."""
    words = text(value, name)
    return usual if words is None else words


def assignments(value: Assignments | None, name: str) -> list[str]:
    """What is said of settings, as "name.field=value" each. Raises InputError."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [f"{key}={said(part, name, 'none')}" for key, part in value.items()]
    if isinstance(value, str):
        return [value]
    return [said(part, name, "") for part in value]


def paths(value: Path | Sequence[Path] | None) -> list[str]:
    """Files, as a list of texts."""
    if value is None:
        return []
    return [str(value)] if isinstance(value, str | PathLike) else [str(part) for part in value]
