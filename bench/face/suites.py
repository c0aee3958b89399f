"""Suites: options in TOML files, in parts where what is asked for is no single cross product."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.parsing import suggestion
from relu.errors import InputError

SUITES = Path(__file__).parent / "suites"
KEYS = (
    "methods",
    "eval",
    "dataset",
    "arch",
    "norm",
    "eps",
    "box",
    "seeds",
    "points",
    "epochs",
    "set",
    "grid",
    "cascade",
    "published",
    "reproducible",
)
TABLES = {"set": '"at.steps" = 7', "grid": '"at.steps" = [7, 40]'}  # keys that hold tables
PART = "part"

Options = dict[str, Any]
"""Values by KEYS, `set` and `grid` with dotted names."""


def suites() -> list[str]:
    """Names of the suites that come with the bench."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def read_suite(name: str) -> list[Options]:
    """The options of each part of a suite, by file or by name; a suite without parts is one part.

    A part's values win over the suite's; `set` and `grid` are merged. Raises InputError.
    """
    path = suite_file(name)
    suite = _parsed(path)
    parts = suite.pop(PART, [{}])
    if not (isinstance(parts, list) and parts and all(isinstance(part, dict) for part in parts)):
        raise InputError(f'suite {path}: part must be tables such as [[part]] with norm = "l2"')
    _check(suite, path, (*KEYS, PART))
    for part in parts:
        _check(part, path, KEYS)
    return [_merged(suite, part) for part in parts]


def describe(name: str) -> tuple[str, list[str]]:
    """The first line of a suite's comment, and the published tables that it reproduces."""
    first = suite_file(name).read_text(encoding="utf-8").partition("\n")[0]
    tables = [part["published"] for part in read_suite(name) if "published" in part]
    return first.lstrip("# ") if first.startswith("#") else "", list(dict.fromkeys(tables))


def suite_file(name: str) -> Path:
    """The file of a suite, by file or by name. Raises InputError."""
    path = Path(name) if Path(name).is_file() else SUITES / f"{name}.toml"
    if not path.is_file():
        near = suggestion(name, suites())
        raise InputError(
            f"--suite: {name!r} is neither a file nor one of {', '.join(suites())}{near}"
        )
    return path


def _parsed(path: Path) -> Options:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read suite {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"suite {path} is not valid TOML: {error}") from error


def _check(options: Mapping[str, Any], path: Path, keys: tuple[str, ...]) -> None:
    for key in options:
        if key not in keys:
            raise InputError(
                f"suite {path} has unknown key {key!r}: valid are {', '.join(keys)}"
                f"{suggestion(key, keys)}"
            )
    for key, example in TABLES.items():
        if not isinstance(options.get(key, {}), dict):
            raise InputError(f"suite {path}: {key} must be a table such as [{key}] with {example}")
    for key, kind, what in (
        ("cascade", bool, "true or false"),
        ("reproducible", bool, "true or false"),
        ("published", str, "a name"),
    ):
        if key in options and not isinstance(options[key], kind):
            raise InputError(f"suite {path}: {key} must be {what}, got {options[key]!r}")


def _merged(suite: Options, part: Options) -> Options:
    tables = {key: flat(suite.get(key, {})) | flat(part.get(key, {})) for key in TABLES}
    return suite | part | tables


def flat(table: Mapping[str, Any], prefix: str = "") -> Options:
    """Dotted names and values: [set.at] steps = 7 is the same as [set] "at.steps" = 7."""
    pairs: Options = {}
    for key, value in table.items():
        inner = isinstance(value, dict)
        pairs |= flat(value, f"{prefix}{key}.") if inner else {prefix + key: value}
    return pairs
