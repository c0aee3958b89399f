"""Which settings a method should have: trials judged on held-out training images, one chosen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from bench.plan.request import Request
from bench.plugins.catalogue import Plugin
from bench.plugins.training import setting

CRITERIA = ("robust_error_high", "robust_error_low", "test_error")  # the smaller, the better
RULE = (
    "the smallest robust error ≤ (mean over seeds), among equals the smallest robust error ≥, "
    "then the smallest held-out error, then the first of the grid"
)
TIE = 12  # decimals of a share in which trials are told apart


@dataclass(frozen=True, kw_only=True)
class Search:
    """What one search asks for.

    fields: those of the grid, as a row's settings name them. share: of the training set, held out.
    """

    request: Request
    method: Plugin
    fields: tuple[str, ...]
    share: float


@runtime_checkable
class TrialRow(Protocol):
    """What a choice looks at in a row of the leaderboard."""

    @property
    def group(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def failures(self) -> Mapping[str, str]: ...
    @property
    def contradictions(self) -> Sequence[str]: ...
    @property
    def test_error(self) -> float | None: ...
    @property
    def robust_error_low(self) -> float | None: ...
    @property
    def robust_error_high(self) -> float | None: ...


Row = TypeVar("Row", bound=TrialRow)


@dataclass(frozen=True, kw_only=True)
class Trial(Generic[Row]):
    """A point of the grid. values: its fields'; rows: one for each seed, about held-out images."""

    values: Mapping[str, Any]
    rows: tuple[Row, ...]

    @property
    def whole(self) -> bool:
        """Whether every seed has its bound, nothing failed, and no evidence contradicts itself."""
        return not any(
            row.failures or row.contradictions or row.robust_error_high is None for row in self.rows
        )

    def mean(self, name: str) -> float | None:
        """The mean of a number over the seeds, None where one of them lacks it."""
        values = [getattr(row, name) for row in self.rows]
        return None if None in values else math.fsum(values) / len(values)


def make_trials(search: Search, rows: Sequence[Row]) -> list[Trial[Row]]:
    """The rows of a search, seeds together, in the order of the grid."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return [
        Trial(values={f: setting(group[0].settings, f) for f in search.fields}, rows=tuple(group))
        for group in groups.values()
    ]


def ranked(trials: Sequence[Trial[Row]]) -> list[Trial[Row]]:
    """The trials, the best first (see RULE); those that are not whole are last."""
    return sorted(trials, key=_rank)


def _rank(trial: Trial[Row]) -> tuple[float, ...]:
    return (not trial.whole, *(_share(trial, name) for name in CRITERIA if trial.whole))


def _share(trial: Trial[Row], name: str) -> float:
    value = trial.mean(name)
    return math.inf if value is None else round(value, TIE)


def decided_by(best_first: Sequence[Trial[Row]]) -> str:
    """What puts the first trial before the second: a criterion, or a few words."""
    whole = [trial for trial in best_first if trial.whole][:2]
    if len(whole) < 2:
        return "being the only one that succeeded"
    pairs = {name: (_share(whole[0], name), _share(whole[1], name)) for name in CRITERIA}
    return next((name for name, (best, next_) in pairs.items() if best != next_), "grid order")
