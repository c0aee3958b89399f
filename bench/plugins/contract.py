"""What must hold of a plugin's class before it is used: its words, and how it can be called."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.plugins.nested_settings import field_types
from relu.errors import InputError
from relu.ranges import require

CALLS: Mapping[str, Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "method": {
        "loss": (("net", "x", "y"), ("threat", "progress")),
        "defaults": (("dataset", "arch", "threat"), ()),
    },
    "evaluator": {
        "refusal": (("net", "threat"), ()),
        "judge": (("net", "x", "y"), ("threat", "known")),
        "defaults": (("dataset", "arch", "threat"), ()),
    },
}
"""How the bench calls a plugin's functions: arguments by position, arguments by name."""


def check_words(kind: str, name: str, cls: type[Any], source: Path) -> None:
    """What people type and read must be text, what is counted a number."""
    if not name.isidentifier() or name == "train":
        raise InputError(f"{source}: {name!r} cannot be a {kind}'s name; rename the file")
    aliases = getattr(cls, "aliases", ())
    if not isinstance(cls.label, str) or not cls.label.strip():
        raise InputError(f"{kind} {cls.__name__} in {source}: label must be text")
    if not isinstance(aliases, tuple) or not all(isinstance(a, str) for a in aliases):
        raise InputError(f"{kind} {cls.__name__} in {source}: aliases must be a tuple of texts")
    for attribute, least in (("cost", 0), ("shard", 1)):
        value = getattr(cls, attribute, least)
        if not isinstance(value, int) or value < least:
            raise InputError(
                f"{kind} {cls.__name__} in {source}: {attribute} must be a whole number of at "
                f"least {least}, got {value!r}"
            )


def check_calls(kind: str, cls: type[Any], source: Path) -> None:
    """What the bench will call must take the arguments that it is called with."""
    for function, (by_position, by_name) in CALLS[kind].items():
        called = getattr(cls if function == "defaults" else cls(), function, None)
        if not callable(called):
            continue
        try:
            signature = inspect.signature(called)
        except (TypeError, ValueError):  # of compiled functions nothing is known
            continue
        try:
            signature.bind(*by_position, **dict.fromkeys(by_name))
        except TypeError as error:
            call = ", ".join([*by_position, *(f"{name}=..." for name in by_name)])
            raise InputError(
                f"{kind} {cls.__name__} in {source}: {function} is called as "
                f"{function}({call}), but: {error}"
            ) from error


def check_trade_off(cls: type[Any], source: Path, fields: Mapping[str, Any]) -> None:
    """What `front` is to search must be settings, and from where to where."""
    said = getattr(cls, "trade_off", {})
    where = f"method {cls.__name__} in {source}: trade_off"
    if not isinstance(said, Mapping):
        raise InputError(f"{where} must map settings to (least, largest), got {said!r}")
    numbers = [name for name, value in fields.items() if type(value) is float]
    for name, ends in said.items():
        if name not in numbers:
            valid = ", ".join(numbers) or "none at all"
            raise InputError(f"{where} names {name!r}, expected one of its numbers: {valid}")
        rising = isinstance(ends, tuple) and len(ends) == 2 and 0 < ends[0] < ends[1]
        if not rising:
            raise InputError(f"{where}: {name} must go from a number > 0 to a larger, got {ends!r}")
        for end in ends:
            require(float(end), field_types(cls)[name], f"{where}: {name}")
