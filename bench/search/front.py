"""Fronts of methods: the trials whose clean and robust errors no other trial beats in both."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.plan.request import Request
from bench.plugins.catalogue import Plugin
from bench.search.tune import TIE, Row, Trial

ERRORS = ("test_error", "robust_error_high")  # what a front is about: the smaller, the better


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A setting that trades one error against the other, and the values that are tried."""

    field: str
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class MethodSearch:
    """A method's trade-off. request: what all trials share, with their settings left out."""

    method: Plugin
    axes: tuple[Axis, ...]
    usual: Mapping[str, float]
    """the settings of the first trial: those that the method has by default"""
    request: Request


@dataclass(frozen=True, kw_only=True)
class FrontSearch:
    """What one command asks for. trials: of each method; share: of the training set, held out."""

    methods: tuple[MethodSearch, ...]
    trials: int
    share: float


def undominated(trials: Sequence[Trial[Row]]) -> list[Trial[Row]]:
    """The trials that no other beats in one error without losing in the other, by clean error.

    Of equals the first. Trials that are not whole are no part of it.
    """
    points = [(errors_of(trial), trial) for trial in trials if trial.whole]
    front = []
    best = math.inf
    for (_, robust), trial in sorted(points, key=lambda point: point[0]):
        if robust < best:
            best = robust
            front.append(trial)
    return front


def errors_of(trial: Trial[Row]) -> tuple[float, float]:
    """Clean and robust error of a whole trial, means over its seeds."""
    clean, robust = (trial.mean(name) for name in ERRORS)
    assert clean is not None and robust is not None
    return round(clean, TIE), round(robust, TIE)


def settings_of(values: Mapping[str, float], method: Plugin) -> dict[tuple[str, str], Any]:
    """The overrides of a request that give a method these values."""
    own = {field: value for field, value in values.items() if not field.startswith("train.")}
    loop = {f.removeprefix("train."): v for f, v in values.items() if f.startswith("train.")}
    overrides: dict[tuple[str, str], Any] = {("method", method.name): own} if own else {}
    return overrides | ({("train", ""): loop} if loop else {})
