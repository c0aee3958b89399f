"""Names people type, and the one exception for values that cannot be used."""

import difflib
import re
from collections.abc import Iterable, Mapping


class InputError(ValueError):
    """A value from outside (command line, suite, data, checkpoint, plugin) that cannot be used.

    The message is one line: what was expected, what came, the valid names.
    """


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
