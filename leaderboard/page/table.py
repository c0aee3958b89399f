"""The page's main table: its columns, and what its filters choose from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.page.subjects import Subject, printed_eps
from leaderboard.row import Row
from leaderboard.seed_groups import DASH
from leaderboard.tables import notes_of

FILTERS = {
    "dataset": "data set",
    "arch": "architecture",
    "norm": "norm",
    "eps": "eps",
    "method": "method",
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column. kind: text, number or share; value: what sorts it; shown: at first."""

    key: str
    header: str
    kind: str
    value: Callable[[Row], Any]
    text: Callable[[Row], str]
    shown: bool = True


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a cell says, and what it is sorted by (None: unknown, always last)."""

    key: str
    kind: str
    text: str
    value: Any


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the table. fooled, undecided, certified: in percent, None where not judged."""

    number: int
    label: str
    cells: tuple[Cell, ...]
    filters: Mapping[str, str]
    shares: Mapping[str, float] | None
    notes: tuple[str, ...]
    contradicted: int


def _number(key: str, header: str, scale: float, digits: int, *, shown: bool = True) -> Column:
    return Column(
        key=key,
        header=header,
        kind="number",
        value=lambda row: getattr(row, key),
        text=lambda row: _digits(getattr(row, key), scale, digits),
        shown=shown,
    )


def _text(key: str, header: str, read: Callable[[Row], Any], *, shown: bool = True) -> Column:
    return Column(
        key=key,
        header=header,
        kind="text",
        value=read,
        text=lambda row: DASH if read(row) is None else str(read(row)),
        shown=shown,
    )


COLUMNS: Sequence[Column] = (
    Column(
        key="robust_error",
        header="robust error (%)",
        kind="share",
        value=lambda row: row.robust_error_high,
        text=lambda row: _between(row.robust_error_low, row.robust_error_high, 100, 2),
    ),
    _number("undecided", "undecided (%)", 100, 2),
    _number("test_error", "test error (%)", 100, 2),
    Column(
        key="radius",
        header="mean radius",
        kind="number",
        value=lambda row: row.radius_low,
        text=lambda row: _between(row.radius_low, row.radius_high, 1, 4),
    ),
    _number("exact_share", "exact (%)", 100, 2, shown=False),
    _number("exact_over_kw", "over KW (%)", 100, 2, shown=False),
    _text("dataset", "data set", lambda row: row.dataset),
    _text("arch", "architecture", lambda row: row.arch),
    _text("norm", "norm", lambda row: row.norm),
    Column(
        key="eps",
        header="eps",
        kind="number",
        value=lambda row: None if isinstance(row.eps, tuple) else row.eps,
        text=printed_eps,
    ),
    _text("seed", "seed", lambda row: row.seed, shown=False),
    Column(
        key="points",
        header="inputs",
        kind="number",
        value=lambda row: row.points,
        text=lambda row: str(row.points),
        shown=False,
    ),
    _number("train_seconds", "trained (s)", 1, 1),
    Column(
        key="judge_seconds",
        header="judged (s)",
        kind="number",
        value=lambda row: judge_seconds(row),
        text=lambda row: _digits(judge_seconds(row), 1, 1),
    ),
)


def lines(subjects: Sequence[Subject]) -> list[Line]:
    """A line of the table for each row."""
    return [
        Line(
            number=subject.number,
            label=subject.label,
            cells=tuple(_cell(column, subject.row) for column in COLUMNS),
            filters=_filters(subject.row),
            shares=_shares(subject.row),
            notes=tuple(notes_of(subject.row)),
            contradicted=len(subject.row.contradictions),
        )
        for subject in subjects
    ]


def choices(table: Sequence[Line]) -> dict[str, list[str]]:
    """What each filter offers, in the order of the rows."""
    return {key: list(dict.fromkeys(line.filters[key] for line in table)) for key in FILTERS}


def judge_seconds(row: Row) -> float | None:
    """Seconds of all evaluators, None where nothing was judged."""
    return sum(row.seconds.values()) if row.seconds else None


def _cell(column: Column, row: Row) -> Cell:
    return Cell(key=column.key, kind=column.kind, text=column.text(row), value=column.value(row))


def _filters(row: Row) -> dict[str, str]:
    return {
        "dataset": row.dataset,
        "arch": row.arch,
        "norm": row.norm,
        "eps": printed_eps(row),
        "method": row.label,
    }


def _shares(row: Row) -> dict[str, float] | None:
    low = row.robust_error_low
    high = row.robust_error_high
    if low is None or high is None:
        return None
    return {
        "fooled": round(100 * low, 3),
        "undecided": round(100 * (high - low), 3),
        "certified": round(100 * (1 - high), 3),
    }


def _digits(value: float | None, scale: float, digits: int) -> str:
    return DASH if value is None else f"{scale * value:.{digits}f}"


def _between(low: float | None, high: float | None, scale: float, digits: int) -> str:
    """An interval, as one number where both ends print alike."""
    texts = [_digits(bound, scale, digits) for bound in (low, high)]
    if low is not None and high is None:
        return f"≥ {texts[0]}"
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} {DASH} {texts[1]}"
