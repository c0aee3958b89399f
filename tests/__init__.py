"""Tests mirror the tree. `check` is their run-time type checker: an int may stand for a float."""

from typing import Any

try:
    from beartype import BeartypeConf, beartype
except ModuleNotFoundError:  # a machine with a GPU may have torch and pytest alone

    def _unchecked(checked: Any) -> Any:
        return checked

    check: Any = _unchecked
else:
    check = beartype(conf=BeartypeConf(is_pep484_tower=True))
