"""Texts that people type: names, norms, radii, boxes, numbers, lists."""

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

from relu.errors import InputError
from relu.threat import Norm

MOST = 2**31 - 1  # of whole numbers: what every library takes
NORMS: Mapping[Norm, tuple[str, ...]] = {
    "linf": ("inf", "infinity", "max", "l_inf"),
    "l2": ("2", "euclidean"),
    "l1": ("1",),
}


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


def numbers(text: str | None, where: str) -> tuple[float, ...]:
    """The finite numbers of "0.1,0.2", () for None. Raises InputError."""
    if text is None:
        return ()
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = (math.nan,)
    if not all(math.isfinite(value) for value in values):
        raise InputError(f"{where} expects numbers between commas, got {text!r}")
    return values


def parse_seconds(text: str, where: str) -> float:
    """A number of seconds above 0; infinite for "none". Raises InputError."""
    try:
        seconds = math.inf if text == "none" else float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise InputError(f"{where} expects a number of seconds, or none, got {text!r}")
    return seconds


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


def suggestion(name: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest valid name, or nothing when none is near."""
    near = difflib.get_close_matches(name.lower(), list(valid), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def resolve(name: str, valid: Mapping[str, Iterable[str]], what: str) -> str:
    """The key of `valid` that `name` means; `valid` maps each name to its aliases.

    Case and punctuation do not count: "MMR+at", "mmr-at" and "mmr_at" are one name. A name goes
    before an alias. Raises InputError with the valid names and the nearest one.
    """
    wanted = _letters(name)
    keys = [key for key in valid if _letters(key) == wanted]
    keys = keys or [k for k, aliases in valid.items() if wanted in map(_letters, aliases)]
    if len(keys) > 1:
        raise InputError(f"{what} {name!r} could mean {' or '.join(keys)}: use one of these names")
    if not keys:
        near = suggestion(name, valid)
        raise InputError(f"unknown {what} {name!r}: valid are {', '.join(valid)}{near}")
    return keys[0]


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def parse_norm(text: str) -> Norm:
    """The norm that `text` names ("inf", "L2", ...). Raises InputError."""
    name = resolve(text, {str(norm): aliases for norm, aliases in NORMS.items()}, "norm")
    return next(norm for norm in NORMS if norm == name)


def parse_eps(text: str) -> float:
    """The positive number written as "0.1", "1e-2" or "4/255", as a float64. Raises InputError."""
    try:
        numerator, _, denominator = text.replace(" ", "").partition("/")
        for part in (numerator, denominator or "1"):
            if not 1e-300 < abs(float(part)) < 1e300:  # Fraction("1e999999999") fills the memory
                raise ValueError(part)
        eps = float(Fraction(numerator) / Fraction(denominator or "1"))
    except (ValueError, ZeroDivisionError, OverflowError):
        eps = math.nan
    if not 0 < eps < math.inf:
        raise InputError(f"eps must be a positive number such as 0.1 or 4/255, got {text!r}")
    return eps


def parse_box(text: str) -> tuple[float, float]:
    """The box that "0,1" names. Raises InputError where images, in [0, 1], need not lie in it."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = math.nan
        high = math.nan
    if not -math.inf < low <= 0 < 1 <= high < math.inf:
        raise InputError(f"box must be LOW,HIGH around 0 and 1, such as --box=-1,2, got {text!r}")
    return low, high
