"""Rows folded into lines for people: seeds together, each line told from its likes."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from leaderboard.merge import case
from leaderboard.row import Row

DASH = "–"
ABOUT = ("data set", "arch", "threat", "method", "points")
PRINTED = ("label", "dataset", "arch", "norm", "eps", "box", "points")  # of a row, under ABOUT


def groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows that differ in nothing but their seed; rows without a seed stand alone.

    The seeds of a group are distinct, and so are its networks.
    """
    rows_by_group: dict[object, list[Row]] = {}
    for i, row in enumerate(rows):
        alike = (row.group, *case(row)) if row.seed is not None else i
        rows_by_group.setdefault(alike, []).append(row)
    for group in rows_by_group.values():
        for name in ("seed", "network"):
            assert len({getattr(row, name) for row in group}) == len(group), (
                f"one {name} twice in a line"
            )
    return list(rows_by_group.values())


def labels(rows: Sequence[Row]) -> dict[str, str]:
    """Each group's label, with what tells it from others of the same name.

    Settings and data wherever they differ; how it was judged, versions and code where nothing else
    does.
    """
    named: dict[Any, dict[str, Row]] = {}
    for row in rows:
        printed = tuple(row.columns(PRINTED).values())
        named.setdefault(printed, {}).setdefault(row.group, row)
    label_of = {}
    for same_label in named.values():
        said: dict[str, list[str]] = {group: [] for group in same_label}
        for detail in (_settings, _data):
            _tell(same_label, said, detail)
        for detail in (_judging, _versions, _code, _group):
            for twins in _twins(said):
                _tell({group: same_label[group] for group in twins}, said, detail)
        for group, row in same_label.items():
            label_of[group] = row.label + (f" ({', '.join(said[group])})" if said[group] else "")
    return label_of


def _tell(
    same_label: Mapping[str, Row],
    said: Mapping[str, list[str]],
    detail: Callable[[Row], dict[str, str]],
) -> None:
    """Adds those details to what is said of each group that are not the same in all."""
    details = {group: detail(row) for group, row in same_label.items()}
    names = dict.fromkeys(name for texts in details.values() for name in texts)
    for name in names:
        if len({texts.get(name) for texts in details.values()}) > 1:
            for group, texts in details.items():
                said[group].extend([texts[name]] if name in texts else [])


def _twins(said: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Groups of which the same is said."""
    by_parts: dict[tuple[str, ...], list[str]] = {}
    for group, parts in said.items():
        by_parts.setdefault(tuple(parts), []).append(group)
    return [groups for groups in by_parts.values() if len(groups) > 1]


def _settings(row: Row) -> dict[str, str]:
    return {name: f"{name}={row.settings[name]}" for name in sorted(row.settings)}


def _data(row: Row) -> dict[str, str]:
    words = {"train": "training data", "test": "test data"}
    parts = {part: row.data.get(part) for part in words}
    return {part: f"{words[part]} {_short(digest)}" for part, digest in parts.items() if digest}


def _judging(row: Row) -> dict[str, str]:
    """By whom a network was judged, and whether these heard of each other."""
    names = [name for name in row.evaluator_labels if name not in row.refusals]
    told = {"by": f"judged by {', '.join(row.evaluator_labels[name] for name in names)}"}
    return told if row.cascade else told | {"cascade": "without cascade"}


def _versions(row: Row) -> dict[str, str]:
    versions = [code["versions"] for code in row.code.values()]
    return {
        name: f"{name} {v}" for by_library in versions for name, v in sorted(by_library.items())
    }


def _code(row: Row) -> dict[str, str]:
    """Whose code it was: the method's, each evaluator's, and that of the bench as one."""
    names = {"network": row.label, **row.evaluator_labels}
    digests = {part: code["plugin"] for part, code in row.code.items() if "plugin" in code}
    told = {part: f"code of {names.get(part, part)} {_short(digests[part])}" for part in digests}
    bench = [code["bench"] for code in row.code.values()]
    whole = hashlib.sha256("".join(bench).encode()).hexdigest()
    return told | ({"bench": f"code of the bench {_short(whole)}"} if bench else {})


def _group(row: Row) -> dict[str, str]:
    return {"group": _short(row.group)}  # weights of a file, or nothing that has a name


def _short(digest: str) -> str:
    return f"#{digest[:6]}"


def leading_cells(rows: Sequence[Row], label: str) -> list[str]:
    """The cells under ABOUT."""
    first = rows[0]
    seeds = f" ({len(rows)} seeds)" if len(rows) > 1 else ""
    return [
        first.dataset,
        first.arch,
        str(first.threat),
        plain(label) + seeds,
        str(first.points),
    ]


def plain(text: str) -> str:
    """One line that cannot be taken for a table's border."""
    return " ".join(text.split()).replace("|", "\\|")


def table(lines: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    """A markdown table whose first four columns are words and whose others are numbers."""
    align = ["left"] * 4 + ["right"] * (len(headers) - 4)
    drawn = tabulate(lines, headers=headers, tablefmt="pipe", colalign=align, disable_numparse=True)
    return f"{drawn}\n"
