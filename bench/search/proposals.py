"""The search of fronts: rounds of trials, proposed by what earlier ones found."""

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.plan.request import Request
from bench.search.front import Axis, FrontSearch, MethodSearch, errors_of, settings_of
from bench.search.tune import Row, Trial
from relu.errors import InputError

ROUNDS = 4  # in which trials are proposed; those of one round can run side by side
DIGITS = 4  # significant digits of values that are proposed
Values = Mapping[str, float]
Judged = Callable[[Mapping[str, Request]], Mapping[str, list[Trial[Row]]] | None]
"""Requests by method -> the trials of each; None where there is nothing to go on with"""


def require_optuna() -> None:
    """Raises InputError where the library that proposes trials is missing."""
    if importlib.util.find_spec("optuna") is None:
        raise InputError("front needs optuna: pip install 'relu-bench[front]'")


def search_fronts(
    search: FrontSearch,
    judged: Judged[Row],
    proposed: Mapping[str, Sequence[Values]],
    keep: Callable[[Mapping[str, Sequence[Values]]], None],
) -> dict[str, list[Trial[Row]]]:
    """The trials of each method, whose values are those of `proposed` as far as these go.

    Each round asks a sampler of optuna (TPE for several objectives, seeded) for each method, and
    tells it the errors of held-out images. Values that were tried before are not tried again.
    keep: is told of all values before they are tried.
    """
    proposers = {s.method.name: _Proposer(s, search.trials) for s in search.methods}
    for name, values in proposed.items():
        if name in proposers:
            proposers[name].repeat(values)
    trials: dict[str, list[Trial[Row]]] = {name: [] for name in proposers}
    for number in range(1, ROUNDS + 1):
        new = {
            s.method.name: request_of(s, values)
            for s in search.methods
            if (values := proposers[s.method.name].propose(-(-search.trials * number // ROUNDS)))
        }
        keep({name: proposer.values for name, proposer in proposers.items()})
        done = judged(new) if new else {}
        if done is None:
            break
        for name, found in done.items():
            trials[name] += found
            proposers[name].tell(found)
    return trials


def request_of(search: MethodSearch, values: Sequence[Values]) -> Request:
    """The request of these trials of a method."""
    base = search.request.overrides[0]
    overrides = tuple(_merged(base, settings_of(v, search.method)) for v in values)
    return dataclasses.replace(search.request, overrides=overrides)


def _merged(base: Mapping[Any, Mapping[str, Any]], own: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: {**base.get(key, {}), **own.get(key, {})} for key in {**base, **own}}


class _Proposer:
    """A study of optuna about one method's trade-off."""

    def __init__(self, search: MethodSearch, trials: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        first = -(-trials // ROUNDS)
        sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=first, constant_liar=True)
        self.study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
        self.axes = search.axes
        self.values: list[Values] = []
        self.waiting: list[Any] = []
        self.most = trials if self.axes else 1
        self.repeat([search.usual])

    def repeat(self, values: Sequence[Values]) -> None:
        """The next trials are to be these."""
        for known in values:
            self.study.enqueue_trial(dict(known), skip_if_exists=True)

    def propose(self, count: int) -> list[Values]:
        """Proposes trials until there are so many; the new ones."""
        before = len(self.values)
        for _ in range(10 * count):  # a sampler may come back to what was tried
            if len(self.values) >= min(count, self.most):
                break
            trial = self.study.ask()
            values = {axis.field: self._value(trial, axis) for axis in self.axes}
            if values not in self.values:
                self.values.append(values)
                self.waiting.append(trial)
        return self.values[before:]

    def _value(self, trial: Any, axis: Axis) -> float:
        value = trial.suggest_float(axis.field, axis.low, axis.high, log=True)
        rounded = float(f"{value:.{DIGITS}g}")
        return min(max(rounded, axis.low), axis.high)

    def tell(self, trials: Sequence[Trial[Row]]) -> None:
        """The errors of the trials that were proposed last, in their order."""
        import optuna

        for trial, waiting in zip(trials, self.waiting, strict=True):
            if trial.whole:
                self.study.tell(waiting, errors_of(trial))
            else:
                self.study.tell(waiting, state=optuna.trial.TrialState.FAIL)
        self.waiting = []
