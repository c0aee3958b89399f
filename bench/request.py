"""What one command asks for: options and suites turned into a checked Request."""

import argparse
import itertools
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.discovery import Catalogue
from bench.settings import Overrides, parse_overrides
from bench.sources import SOURCES
from relu.names import InputError, resolve, suggestion
from relu.networks import ARCHITECTURES
from relu.threat import Norm, parse_box, parse_eps, parse_norm

MOST = 2**31 - 1  # of whole numbers: what every library takes
SUITES = Path(__file__).parent / "suites"
SUITE_KEYS = (
    "methods", "eval", "dataset", "arch", "norm", "eps", "box", "seeds", "points", "epochs", "set",
    "grid", "cascade",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network trained elsewhere: its file, the digest of its contents, its name in the table."""

    path: str
    digest: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one command asks for: everything listed is crossed with everything else listed.

    An empty `archs` or `eps` means each data set's own. `points`: None for the first 1000.
    held_out: the share of the training set that is judged in the test set's place, None for none.
    overrides: one for each point of the grid. cascade: whether evaluators hear of earlier ones.
    """

    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    evaluators: tuple[str, ...]
    archs: tuple[str, ...] = ()
    norms: tuple[Norm, ...] = ("linf",)
    eps: tuple[float, ...] = ()
    box: tuple[float, float] = (0.0, 1.0)
    seeds: tuple[int, ...] = (0,)
    points: int | None = None
    epochs: int | None = None
    overrides: tuple[Overrides, ...] = ({},)
    cascade: bool = True
    checkpoint: Checkpoint | None = None
    held_out: float | None = None


def suites() -> list[str]:
    """Names of the suites that come with the bench."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def read_suite(name: str) -> dict[str, Any]:
    """The options in a suite, by file or by name. Raises InputError."""
    path = Path(name) if Path(name).is_file() else SUITES / f"{name}.toml"
    if not path.is_file():
        raise InputError(f"--suite: {name!r} is neither a file nor one of {', '.join(suites())}")
    try:
        suite = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"suite {path} is not valid TOML: {error}") from error
    for key in suite:
        if key not in SUITE_KEYS:
            near = suggestion(key, SUITE_KEYS)
            raise InputError(
                f"suite {path} has unknown key {key!r}: valid are {', '.join(SUITE_KEYS)}{near}"
            )
    for key, example in (("set", '"at.steps" = 7'), ("grid", '"at.steps" = [7, 40]')):
        if not isinstance(suite.get(key, {}), dict):
            raise InputError(f"suite {path}: {key} must be a table such as [{key}] with {example}")
    if not isinstance(suite.get("cascade", True), bool):
        raise InputError(f"suite {path}: cascade must be true or false, got {suite['cascade']!r}")
    return suite


def make_request(options: argparse.Namespace, catalogue: Catalogue) -> Request:
    """The request that options (and a suite) describe, but for a checkpoint. Raises InputError."""
    for key in ("suite", "out", "data", "address"):
        if getattr(options, key, None) == "":
            raise InputError(f"--{key} expects a value, got ''")
    suite = read_suite(options.suite) if getattr(options, "suite", None) else {}

    def given(key: str, default: str = "") -> list[str]:
        value = getattr(options, key, None)
        value = suite.get(key) if value is None else value
        return _texts(default if value is None else value, key, empty=value is None)

    methods = [catalogue.find("method", name).name for name in given("methods")]
    evaluators = given("eval", "all")
    if [e.lower() for e in evaluators] == ["all"]:
        evaluators = list(catalogue.evaluators)
    evaluators = [catalogue.find("evaluator", name).name for name in evaluators]
    chosen = {"method": _unique(methods), "evaluator": _unique(evaluators)}
    assignments = [f"{k}={v}" for k, v in _flat(suite.get("set", {}))] + options.set
    points = list(_grid(suite.get("grid", {}), options.grid))
    overrides = tuple(
        parse_overrides([*assignments, *point], catalogue, chosen) for point in points
    )
    _require_once(points[0], assignments, catalogue, chosen)
    epochs = _single(given("epochs"), "epochs")
    if epochs is not None and any("epochs" in some.get(("train", ""), {}) for some in overrides):
        raise InputError("--epochs and train.epochs say the same thing: give one of them")
    return Request(
        datasets=_resolved(given("dataset", "digits"), {n: s.aliases for n, s in SOURCES.items()},
                           "data set"),
        archs=_resolved(given("arch"), dict.fromkeys(ARCHITECTURES, ()), "architecture"),
        methods=chosen["method"],
        evaluators=chosen["evaluator"],
        norms=tuple(dict.fromkeys(parse_norm(text) for text in given("norm", "linf"))),
        eps=tuple(dict.fromkeys(parse_eps(text) for text in given("eps"))),
        box=parse_box(",".join(given("box", "0,1"))),
        seeds=tuple(dict.fromkeys(_whole(text, "seeds", 0) for text in given("seeds", "0"))),
        points=_single(given("points"), "points"),
        epochs=epochs,
        overrides=overrides,
        cascade=suite.get("cascade", True) and not options.no_cascade,
    )  # fmt: skip


def _texts(value: Any, key: str, *, empty: bool) -> list[str]:
    """The parts of "a,b" or of a suite's list; `empty`: whether there may be none."""
    parts = value if isinstance(value, list) else str(value).split(",")
    texts = [str(part).strip() for part in parts if isinstance(part, str | int | float)]
    if empty and texts == [""]:
        return []
    if not texts or not all(texts) or len(texts) < len(parts):
        raise InputError(f"--{key} expects names or numbers between commas, got {value!r}")
    return texts


def _flat(table: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted names and values: [set.at] steps = 7 is the same as [set] "at.steps" = 7."""
    pairs = []
    for key, value in table.items():
        inner = isinstance(value, dict)
        pairs += _flat(value, f"{prefix}{key}.") if inner else [(prefix + key, value)]
    return pairs


def _grid(suite: dict[str, Any], asked: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The assignments of each point of the grid: all values of all fields crossed."""
    axes = {field: _texts(values, "grid", empty=False) for field, values in _flat(suite)}
    given: set[str] = set()
    for text in asked:
        field, equals, values = (part.strip() for part in text.partition("="))
        if not equals or "." not in field:
            raise InputError(f"--grid expects name.field=value,value, got {text!r}")
        if field in given:
            raise InputError(f"--grid {field} is given twice: put all its values into one")
        given.add(field)
        axes[field] = _texts(values, "grid", empty=False)
    return itertools.product(
        *([f"{field}={value}" for value in dict.fromkeys(axes[field])] for field in axes)
    )


def _require_once(
    point: Sequence[str], assignments: Sequence[str], catalogue: Catalogue,
    chosen: dict[str, tuple[str, ...]],
) -> None:  # fmt: skip
    """No field of the grid is given by another name, or by --set, too."""
    seen = {
        (plugin, field)
        for plugin, fields in parse_overrides(assignments, catalogue, chosen).items()
        for field in fields
    }
    for text in point:
        ((plugin, fields),) = parse_overrides([text], catalogue, chosen).items()
        (field,) = fields
        if (plugin, field) in seen:
            raise InputError(f"--grid {text.partition('=')[0]}: this field is given twice")
        seen.add((plugin, field))


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _resolved(names: Sequence[str], valid: Any, what: str) -> tuple[str, ...]:
    return _unique([resolve(name, valid, what) for name in names])


def _single(texts: Sequence[str], what: str) -> int | None:
    if len(texts) > 1:
        raise InputError(f"--{what} expects one number, got {','.join(texts)}")
    return _whole(texts[0], what, 1) if texts else None


def _whole(text: str, what: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= MOST:
        raise InputError(f"--{what} expects a whole number from {least} to {MOST}, got {text!r}")
    return value
