"""Which settings a method should have: trials judged on held-out training images, one chosen."""

import argparse
import contextlib
import dataclasses
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.discovery import Catalogue, Plugin
from bench.fields import field_types
from bench.holdout import parse_share
from bench.request import Request, make_request
from bench.settings import Training
from relu.names import InputError, resolve, suggestion

CRITERIA = ("robust_error_high", "robust_error_low", "test_error")  # the smaller, the better
RULE = (
    "the smallest robust error ≤ (mean over seeds), among equals the smallest robust error ≥, "
    "then the smallest held-out error, then the first of the grid"
)
TIE = 12  # decimals of a share in which trials are told apart
CARRIED = ("eps", "box", "epochs", "seeds", "eval", "data", "out")  # go on to `run` as given


@dataclass(frozen=True, kw_only=True)
class Search:
    """What one search asks for.

    fields: those of the grid, as a row's settings name them. share: of the training set, held out.
    """

    request: Request
    method: Plugin
    fields: tuple[str, ...]
    share: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A point of the grid. values: its fields'; rows: one for each seed, about held-out images."""

    values: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]

    @property
    def whole(self) -> bool:
        """Whether every seed has its bound, nothing failed, and no evidence contradicts itself."""
        return not any(
            row["failures"] or row["contradictions"] or row["robust_error_high"] is None
            for row in self.rows
        )

    def mean(self, name: str) -> float | None:
        """The mean of a number over the seeds, None where one of them lacks it."""
        values = [row[name] for row in self.rows]
        return None if None in values else math.fsum(values) / len(values)


def make_search(options: argparse.Namespace, catalogue: Catalogue) -> Search:
    """The search that options describe. Raises InputError."""
    if "," in options.method:
        raise InputError(f"tune expects one --method, got {options.method!r}: run it for each")
    method = catalogue.find("method", options.method)
    grid = _axes(options.grid, method)
    asked = {"methods": method.name, "grid": [f"{_dotted(method, f)}={v}" for f, v in grid.items()]}
    request = make_request(argparse.Namespace(**vars(options) | asked), catalogue)
    _require_single(request)
    share = parse_share(options.held_out)
    request = dataclasses.replace(request, held_out=share)
    return Search(request=request, method=method, fields=tuple(grid), share=share)


def _axes(texts: Sequence[str], method: Plugin) -> dict[str, str]:
    """Field, as a row's settings name it, -> the text of its values."""
    if not texts:
        example = next(iter(method.fields()), "train.lr")
        raise InputError(f"tune expects a --grid FIELD=value,value, such as --grid {example}=...")
    axes: dict[str, str] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise InputError(f"--grid expects FIELD=value,value, got {text!r}")
        field = _field(name, method)
        if field in axes:
            raise InputError(f"--grid {field} is given twice: put all its values into one")
        axes[field] = values
    return axes


def _field(name: str, method: Plugin) -> str:
    """The field of the method, or of the training, that a name means."""
    valid = [*method.fields(), *(f"train.{field}" for field in field_types(Training))]
    head, _, rest = name.removeprefix("methods.").partition(".")
    short = name
    with contextlib.suppress(InputError):
        resolve(head, {method.name: method.aliases}, "method")
        short = rest
    for field in (name, short):
        if field in valid:
            return field
    raise InputError(
        f"--grid expects a field of {method.name}, got {name!r}: valid are "
        f"{', '.join(valid)}{suggestion(short, valid)}"
    )


def _require_single(request: Request) -> None:
    asked = {
        "dataset": request.datasets,
        "arch": request.archs,
        "norm": request.norms,
        "eps": request.eps,
    }
    for option, values in asked.items():
        if len(values) > 1:
            given = ",".join(map(str, values))
            raise InputError(f"tune expects one --{option}, got {given!r}: run it for each")


def _dotted(method: Plugin, field: str) -> str:
    """The field's name for --set and --grid of any run."""
    return f"methods.{method.name}.{field}" if field in method.fields() else field


def make_trials(search: Search, rows: Sequence[Mapping[str, Any]]) -> list[Trial]:
    """The rows of a search, seeds together, in the order of the grid."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    return [
        Trial(values={f: some[0]["settings"][f] for f in search.fields}, rows=tuple(some))
        for some in groups.values()
    ]


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """The trials, the best first (see RULE); those that are not whole are last."""
    return sorted(trials, key=_rank)


def _rank(trial: Trial) -> tuple[float, ...]:
    return (not trial.whole, *(_share(trial, name) for name in CRITERIA if trial.whole))


def _share(trial: Trial, name: str) -> float:
    value = trial.mean(name)
    return math.inf if value is None else round(value, TIE)


def decided_by(best_first: Sequence[Trial]) -> str:
    """What puts the first trial before the second: a criterion, or a few words."""
    whole = [trial for trial in best_first if trial.whole][:2]
    if len(whole) < 2:
        return "being the only one that succeeded"
    pairs = {name: (_share(whole[0], name), _share(whole[1], name)) for name in CRITERIA}
    return next((name for name, (best, next_) in pairs.items() if best != next_), "grid order")


def command(search: Search, trial: Trial, options: argparse.Namespace, catalogue: Catalogue) -> str:
    """The command line that trains and judges with a trial's settings, now on the test set."""
    row, given = trial.rows[0], vars(options)
    words = ["python", "-m", "bench", "run"]
    words += ["--dataset", row["dataset"], "--arch", row["arch"], "--norm", row["norm"]]
    words += ["--methods", search.method.name]
    words += [word for name in CARRIED for word in _option(name, given[name])]
    words += ["--no-cascade"] if options.no_cascade else []
    words += [word for plugin in options.plugin for word in ("--plugin", plugin)]
    chosen = [f"{_short(search.method, f, catalogue)}={_text(v)}" for f, v in trial.values.items()]
    words += [word for text in [*chosen, *options.set] for word in ("--set", text)]
    return shlex.join(words)


def _option(name: str, text: str | None) -> list[str]:
    if text is None or (name, text) == ("out", "run"):
        return []
    return [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]


def _short(method: Plugin, field: str, catalogue: Catalogue) -> str:
    """As `_dotted`, in short where no evaluator has the same name."""
    dotted = _dotted(method, field)
    return dotted if method.name in catalogue.evaluators else dotted.removeprefix("methods.")


def _text(value: object) -> str:
    return "none" if value is None else str(value)
