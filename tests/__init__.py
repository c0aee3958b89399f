"""Tests mirror the tree. `check` is their run-time type checker: an int may stand for a float.

In each test it checks the first calls of every function; what is called more often is hot, and its
further calls go unchecked, which makes tests several times faster.
"""

import functools
import inspect
import os
import sys
from collections import Counter
from typing import Any

try:
    from beartype import BeartypeConf, beartype
except ModuleNotFoundError:  # a machine with a GPU may have torch and pytest alone

    def _checked(function: Any) -> Any:
        return function
else:
    _type_checked: Any = beartype(conf=BeartypeConf(is_pep484_tower=True))

    def _checked(function: Any) -> Any:
        return _type_checked(function)


# calls of each function in a test that are checked; `tox run -e typed` checks all
FIRST = int(os.environ.get("CHECKED_CALLS", "50"))

_calls: Counter[int] = Counter()
_hot: list[Any] = []


def check(function: Any) -> Any:
    """A function that checks types: what jaxtyping calls to check parameters or results."""
    checked = _checked(function)
    if isinstance(function, type):
        return checked

    @functools.wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        _calls[id(counted)] += 1
        if _calls[id(counted)] <= FIRST:
            return checked(*args, **kwargs)
        _leave(function.__module__, function.__qualname__)
        return function(*args, **kwargs)

    return counted


def begin_test() -> None:
    """From now on, the first calls of all functions are checked again."""
    _calls.clear()
    while _hot:
        del _hot.pop().__no_type_check__


def _leave(module: str, name: str) -> None:
    """Tells jaxtyping to check no further calls of a function, if it can be reached by its name."""
    place: Any = sys.modules.get(module)
    for part in name.split("."):
        if place is None:
            return
        place = inspect.getattr_static(place, part, None)
    for inner in ("fget", "func", "__func__"):
        place = getattr(place, inner, place)
    plain = getattr(place, "__wrapped__", None)
    if plain is not None and not hasattr(plain, "__no_type_check__"):
        plain.__no_type_check__ = True
        _hot.append(plain)
