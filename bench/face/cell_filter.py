"""`--only`: which cells of what is crossed are kept."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from bench.parsing import parse_norm, resolve
from bench.plan.request import Request
from bench.plugins.catalogue import Catalogue
from leaderboard.row import Row
from relu.errors import InputError

KEYS: Mapping[str, tuple[str, ...]] = {
    "dataset": ("data set", "datasets"),
    "arch": ("architecture", "archs"),
    "norm": ("norms",),
    "method": ("methods",),
}
SAID: Mapping[str, str] = {"dataset": "data set", "arch": "architecture"}
AXES = ("datasets", "archs", "norms", "methods")
Name = TypeVar("Name", bound=str)
Wanted = Mapping[str, Sequence[str]]
"""Key -> the names that are kept; a key that is not there keeps all."""


def keep(requests: Sequence[Request], texts: Sequence[str], catalogue: Catalogue) -> list[Request]:
    """The requests, without the cells that `key=name,key=name` texts leave out.

    Names of one key add up; a cell is kept where all keys agree. Raises InputError for what is not
    crossed at all, or where nothing is left.
    """
    wanted = _parsed(texts, catalogue)
    for key, names in wanted.items():
        there = _there(requests, key, catalogue)
        if absent := [name for name in names if name not in there]:
            has = f"it has {', '.join(there)}" if there else f"it has no {key} to choose from"
            raise InputError(f"--only {key}={absent[0]}: this run has none, {has}")
    parts = [_kept(request, wanted, catalogue) for request in requests]
    kept = [part for part in parts if part is not None]
    if not kept:
        cases = itertools.chain(*(_cases(request, catalogue) for request in requests))
        there = list(dict.fromkeys(cases))
        raise InputError(f"--only {','.join(texts)} leaves nothing of {', '.join(there)}")
    return kept


def _parsed(texts: Sequence[str], catalogue: Catalogue) -> Wanted:
    return _named(
        texts,
        {
            "dataset": catalogue.find_source,
            "arch": catalogue.find_architecture,
            "norm": parse_norm,
            "method": lambda name: catalogue.find("method", name).name,
        },
    )


def _named(texts: Sequence[str], read: Mapping[str, Callable[[str], str]]) -> Wanted:
    """The names of each key; read: what the names of a key mean."""
    wanted: dict[str, list[str]] = {}
    for text in texts:
        for part in text.split(","):
            key, equals, name = (piece.strip() for piece in part.partition("="))
            if not (key and equals and name):
                raise InputError(
                    f"--only expects key=name,key=name, got {text!r}: keys are {', '.join(KEYS)}"
                )
            key = resolve(key, KEYS, "key of --only")
            wanted.setdefault(key, []).append(read[key](name))
    return wanted


def keep_rows(rows: Sequence[Row], texts: Sequence[str]) -> list[Row]:
    """The rows that `key=name,key=name` texts keep, as `keep`; names are those of the rows.

    Raises InputError for a name that no row has, or where nothing is left.
    """

    def reading(key: str) -> Callable[[str], str]:
        there = {str(getattr(row, key)): (row.label,) if key == "method" else () for row in rows}
        return lambda name: resolve(name, there, f"{SAID.get(key, key)} of this run")

    wanted = _named(texts, {key: reading(key) for key in KEYS})
    kept = [row for row in rows if all(getattr(row, key) in names for key, names in wanted.items())]
    if rows and not kept:
        there = dict.fromkeys(f"{row.dataset} {row.arch} {row.norm} {row.method}" for row in rows)
        raise InputError(f"--only {','.join(texts)} leaves nothing of {', '.join(there)}")
    return kept


def _kept(request: Request, wanted: Wanted, catalogue: Catalogue) -> Request | None:
    """What is left of a request, None for nothing."""

    def selection(key: str, there: tuple[Name, ...]) -> tuple[Name, ...]:
        return tuple(name for name in there if name in wanted.get(key, there))

    left = dataclasses.replace(
        request,
        datasets=tuple(
            name
            for name in selection("dataset", request.datasets)
            if request.archs or selection("arch", _archs(request, name, catalogue))
        ),
        archs=selection("arch", request.archs),
        norms=selection("norm", request.norms),
        methods=selection("method", request.methods),
    )
    emptied = any(getattr(request, axis) and not getattr(left, axis) for axis in AXES)
    return None if emptied else left


def _archs(request: Request, dataset: str, catalogue: Catalogue) -> tuple[str, ...]:
    return request.archs or (catalogue.sources[dataset].arch,)


def _there(requests: Sequence[Request], key: str, catalogue: Catalogue) -> list[str]:
    """What is crossed, of the kind of `key`."""
    names: list[str] = []
    for request in requests:
        archs = (arch for name in request.datasets for arch in _archs(request, name, catalogue))
        names_by_key = {
            "dataset": request.datasets,
            "arch": archs,
            "norm": request.norms,
            "method": request.methods,
        }
        names += names_by_key[key]
    return list(dict.fromkeys(names))


def _cases(request: Request, catalogue: Catalogue) -> Iterator[str]:
    for dataset in request.datasets:
        archs = _archs(request, dataset, catalogue)
        for case in itertools.product((dataset,), archs, request.norms):
            yield " ".join(case)
