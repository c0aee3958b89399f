"""Ranges that settings declare in their annotations, and dataclasses that keep to them.

`steps: Annotated[int, Ge(1)] = 40` is a whole number of at least 1. Ranges are written in the words
of annotated_types: Ge, Gt, Le, Lt, Interval, or Predicate, whose docstring says what it asks for.
NaN and the infinities lie in no range, as settings are stored as JSON.
"""

import dataclasses
import math
import operator
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

from annotated_types import BaseMetadata, Ge, GroupedMetadata, Gt, Interval, Le, Lt, Predicate

from relu.errors import InputError

T = TypeVar("T")
LIMITS: Mapping[type, tuple[str, str, str, Callable[[Any, Any], bool]]] = {
    Ge: ("ge", ">=", "at least", operator.ge),
    Gt: ("gt", ">", "more than", operator.gt),
    Le: ("le", "<=", "at most", operator.le),
    Lt: ("lt", "<", "less than", operator.lt),
}
"""Marker -> the name of its limit, a symbol, words, and what must hold of value and limit."""


@dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field,)
)
def checked_dataclass(cls: type[T]) -> type[T]:
    """A frozen, keyword-only dataclass that refuses values outside the ranges of its fields.

    Errors name fields as the command line does: at.steps for `steps` of the class in at.py. A
    `__post_init__` of the class's own runs after these checks.
    """
    name = cls.__module__.rpartition(".")[2]
    post_init = vars(cls).get("__post_init__")

    def check(self: Any) -> None:
        require_fields(self, name)
        if post_init is not None:
            post_init(self)

    cls.__post_init__ = check  # type: ignore[attr-defined]
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


def require_fields(settings: Any, name: str) -> None:
    """Raises InputError for the first field of a dataclass instance that is out of its range."""
    hints = typing.get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        require(getattr(settings, field.name), hints[field.name], f"{name}.{field.name}")


def require(value: Any, hint: Any, what: str) -> None:
    """Raises InputError, one line about `what`, for a value that the annotation does not allow."""
    if fits(value, hint):
        return
    right_type = any(_is_of(value, base) for base, _ in alternatives(hint))
    wanted = described(hint) if right_type else typed(hint)
    if isinstance(value, float) and not math.isfinite(value):
        wanted = "a finite number"
    raise InputError(f"{what} must be {wanted}, got {value!r}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the type, or of one of a union's, and in the range declared there."""
    return any(
        _is_of(value, base) and all(_holds(value, marker) for marker in markers)
        for base, markers in alternatives(hint)
    )


def declares_range(hint: Any) -> bool:
    """Whether the type, or one of a union's, is annotated with a range."""
    return any(markers for _, markers in alternatives(hint))


def alternatives(hint: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The bare type, or each of a union's, and the markers of its range."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, UnionType):
        for part in typing.get_args(hint):
            yield from alternatives(part)
    elif origin is Annotated:
        inner, *annotations = typing.get_args(hint)
        markers = tuple(_markers(annotations))
        for base, inner_markers in alternatives(inner):
            yield base, () if base is NoneType else (*inner_markers, *markers)
    else:
        yield hint, ()


def _markers(annotations: Sequence[Any]) -> Iterator[Any]:
    """Those that limit values; TypeError for one that this module would have to pass over."""
    for annotation in annotations:
        if isinstance(annotation, Interval):
            yield from annotation
        elif isinstance(annotation, Predicate) or type(annotation) in LIMITS:
            yield annotation
        elif isinstance(annotation, BaseMetadata | GroupedMetadata):
            raise TypeError(f"{annotation} is none of Ge, Gt, Le, Lt, Interval, Predicate")


def _is_of(value: Any, base: Any) -> bool:
    """Whether a value is of a bare type; whole numbers are floats, too, and truths are neither."""
    if typing.get_origin(base) is Literal:
        return any(value == c and type(value) is type(c) for c in typing.get_args(base))
    if base in (int, float) and isinstance(value, bool):
        return False
    if base is float:
        return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return not isinstance(base, type) or isinstance(value, base)


def _holds(value: Any, marker: Any) -> bool:
    if isinstance(marker, Predicate):
        return bool(marker.func(value))
    name, _, _, compare = LIMITS[type(marker)]
    return compare(value, getattr(marker, name))


def described(hint: Any) -> str:
    """What the annotation allows, as it follows "must be"."""
    parts = [(base, markers) for base, markers in alternatives(hint) if base is not NoneType]
    return " or ".join(" and ".join(map(_words, m)) if m else _name(base) for base, m in parts)


def _words(marker: Any) -> str:
    if isinstance(marker, Predicate):
        words = str(marker.func.__doc__).removesuffix(".")
        return words[:1].lower() + words[1:]
    if marker == Gt(0):
        return "a positive number"
    name, _, words, _ = LIMITS[type(marker)]
    return f"{words} {getattr(marker, name)}"


def in_symbols(hint: Any) -> str:
    """The range in short: ">= 1", "> 0, <= 1", "ce|margin"; nothing where none is declared."""
    ranges = [
        ", ".join(map(_symbols, markers)) or "|".join(choices(base))
        for base, markers in alternatives(hint)
    ]
    return " or ".join(filter(None, ranges))


def _symbols(marker: Any) -> str:
    if isinstance(marker, Predicate):
        return _words(marker)
    name, symbol, _, _ = LIMITS[type(marker)]
    return f"{symbol} {getattr(marker, name)}"


def typed(hint: Any) -> str:
    """What the annotation allows apart from ranges, as it follows "must be"."""
    bases = [base for base, _ in alternatives(hint) if base is not NoneType]
    if bases == [bool]:
        return "true or false"
    names = [name for base in bases for name in choices(base) or [_name(base)]]
    return f"one of {', '.join(names)}" if len(names) > 1 else f"of type {names[0]}"


def choices(base: Any) -> list[str]:
    """The values of a Literal as people type them; of other types, none."""
    return [str(c) for c in typing.get_args(base)] if typing.get_origin(base) is Literal else []


def _name(base: Any) -> str:
    return " or ".join(choices(base)) or getattr(base, "__name__", str(base))
