"""Texts of options and of suites as whole numbers and lists; errors say where they stand."""

from collections.abc import Sequence
from typing import Any, Literal

from relu.names import InputError

MOST = 2**31 - 1  # of whole numbers: what every library takes


def split(value: Any, where: str, *, empty: bool) -> list[str]:
    """The parts of "a,b" or of a suite's list; `empty`: whether there may be none."""
    parts = value if isinstance(value, list) else str(value).split(",")
    texts = [str(part).strip() for part in parts if isinstance(part, str | int | float)]
    if empty and texts == [""]:
        return []
    if not texts or not all(texts) or len(texts) < len(parts):
        raise InputError(f"{where} expects names or numbers between commas, got {value!r}")
    return texts


def one_number(texts: Sequence[str], where: str) -> int | None:
    """The whole number from 1 that is alone in the list, None for an empty list."""
    if len(texts) > 1:
        raise InputError(f"{where} expects one number, got {','.join(texts)}")
    return whole_number(texts[0], where, 1) if texts else None


def point_count(texts: Sequence[str], where: str) -> int | Literal["all"] | None:
    """As `one_number`, or "all"."""
    return "all" if [text.lower() for text in texts] == ["all"] else one_number(texts, where)


def whole_number(text: str, where: str, least: int) -> int:
    """A whole number from `least`."""
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= MOST:
        raise InputError(f"{where} expects a whole number from {least} to {MOST}, got {text!r}")
    return value
