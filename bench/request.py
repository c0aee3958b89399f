"""What one command asks for: options and suites turned into checked Requests."""

import argparse
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.discovery import Catalogue
from bench.settings import Overrides, parse_overrides
from bench.sources import SOURCES
from bench.suite import read_suite
from relu.names import InputError, resolve
from relu.networks import ARCHITECTURES
from relu.threat import Norm, parse_box, parse_eps, parse_norm

FIRST = 1000  # test inputs that are judged, where nothing is said
MOST = 2**31 - 1  # of whole numbers: what every library takes
TRAIN = ("train", "")  # the training loop, among overrides


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network trained elsewhere: its file, the digest of its contents, its name in the table."""

    path: str
    digest: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one command asks for, or a part of it: everything listed is crossed with all the rest.

    An empty `archs` or `eps` means each data set's own. `points`: None for the first 1000.
    held_out: the share of the training set that is judged in the test set's place, None for none.
    overrides: one for each point of the grid. cascade: whether evaluators hear of earlier ones.
    published: the table of a paper that the rows are set beside.
    """

    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    evaluators: tuple[str, ...]
    archs: tuple[str, ...] = ()
    norms: tuple[Norm, ...] = ("linf",)
    eps: tuple[float, ...] = ()
    box: tuple[float, float] = (0.0, 1.0)
    seeds: tuple[int, ...] = (0,)
    points: int | Literal["all"] | None = None
    epochs: int | None = None
    overrides: tuple[Overrides, ...] = ({},)
    cascade: bool = True
    checkpoint: Checkpoint | None = None
    published: str | None = None
    held_out: float | None = None

    def count(self, available: int) -> int:
        """How many of so many test inputs are judged."""
        if self.points is None:
            return min(FIRST, available)
        return available if self.points == "all" else self.points


def make_requests(options: argparse.Namespace, catalogue: Catalogue) -> list[Request]:
    """What options (and a suite) describe: a request for each part of the suite, or just one.

    Options win over every part; checkpoints are not looked at. Raises InputError.
    """
    for key in ("suite", "out", "data", "address"):
        if getattr(options, key, None) == "":
            raise InputError(f"--{key} expects a value, got ''")
    parts = read_suite(options.suite) if getattr(options, "suite", None) else [{}]
    asked = [_Asked(options, part, catalogue) for part in parts]
    plugins = {
        kind: _unique([name for part in asked for name in part.chosen[kind]])
        for kind in ("method", "evaluator")
    }
    return [part.request(plugins) for part in asked]


def make_request(options: argparse.Namespace, catalogue: Catalogue) -> Request:
    """The request of options without a suite, or with one that has no parts. Raises InputError."""
    (request,) = make_requests(options, catalogue)
    return request


class _Asked:
    """The options of a command over those of a part of its suite."""

    def __init__(
        self, options: argparse.Namespace, part: Mapping[str, Any], catalogue: Catalogue
    ) -> None:
        self.options, self.part, self.catalogue = options, part, catalogue
        self.chosen = self._plugins(self.given("methods"), self.given("eval", "all"))
        own = [_texts(part.get(key, ""), key, empty=key not in part) for key in ("methods", "eval")]
        self.named = self._plugins(own[0], own[1] or ["all"])  # by the suite, whatever is left

    def _plugins(
        self, methods: Sequence[str], evaluators: Sequence[str]
    ) -> dict[str, tuple[str, ...]]:
        if [e.lower() for e in evaluators] == ["all"]:
            evaluators = list(self.catalogue.evaluators)
        names = {"method": methods, "evaluator": evaluators}
        find = self.catalogue.find
        return {
            "method": _unique([find("method", name).name for name in names["method"]]),
            "evaluator": _unique([find("evaluator", name).name for name in names["evaluator"]]),
        }

    def given(self, key: str, default: str = "") -> list[str]:
        value = getattr(self.options, key, None)
        value = self.part.get(key) if value is None else value
        return _texts(default if value is None else value, key, empty=value is None)

    def request(self, plugins: Mapping[str, Sequence[str]]) -> Request:
        """`plugins`: those of all parts, as settings may be about another part's."""
        given, overrides = self.given, self._overrides(plugins)
        epochs = _single(given("epochs"), "epochs")
        if epochs is not None and any("epochs" in some.get(TRAIN, {}) for some in overrides):
            raise InputError("--epochs and train.epochs say the same thing: give one of them")
        return Request(
            datasets=_resolved(given("dataset", "digits"),
                               {n: s.aliases for n, s in SOURCES.items()}, "data set"),
            archs=_resolved(given("arch"), dict.fromkeys(ARCHITECTURES, ()), "architecture"),
            methods=self.chosen["method"],
            evaluators=self.chosen["evaluator"],
            norms=tuple(dict.fromkeys(parse_norm(text) for text in given("norm", "linf"))),
            eps=tuple(dict.fromkeys(parse_eps(text) for text in given("eps"))),
            box=parse_box(",".join(given("box", "0,1"))),
            seeds=tuple(dict.fromkeys(_whole(text, "seeds", 0) for text in given("seeds", "0"))),
            points=_points(given("points")),
            epochs=epochs,
            overrides=overrides,
            cascade=self.part.get("cascade", True) and not self.options.no_cascade,
            published=self.part.get("published"),
        )  # fmt: skip

    def _overrides(self, plugins: Mapping[str, Sequence[str]]) -> tuple[Overrides, ...]:
        """One for each point of the grid, without what is about another part's plugins.

        A suite may set fields of what the options leave out; options themselves may not.
        """
        kinds = {kind: _unique([*plugins[kind], *self.named[kind]]) for kind in plugins}
        suite, given = self.part.get("set", {}), self.options.set
        always = _merged(
            parse_overrides([f"{k}={v}" for k, v in suite.items()], self.catalogue, kinds),
            parse_overrides(given, self.catalogue, plugins),
        )
        asked = {text.partition("=")[0].strip() for text in self.options.grid}
        found = []
        for point in _grid(self.part.get("grid", {}), self.options.grid):
            overrides = always
            for text in point:
                theirs = plugins if text.partition("=")[0] in asked else kinds
                field = parse_overrides([text], self.catalogue, theirs)
                _require_new(field, overrides, text)
                overrides = _merged(overrides, field)
            found.append(overrides)
        return tuple(
            {(kind, name): fields for (kind, name), fields in some.items()
             if (kind, name) == TRAIN or name in self.chosen[kind]}
            for some in found
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


def _grid(suite: Mapping[str, Any], asked: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The assignments of each point of the grid: all values of all fields crossed."""
    axes = {field: _texts(values, "grid", empty=False) for field, values in suite.items()}
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


def _merged(first: Overrides, second: Overrides) -> Overrides:
    """All fields of both, the second's before the first's."""
    return {
        plugin: {**first.get(plugin, {}), **second.get(plugin, {})}
        for plugin in dict.fromkeys([*first, *second])
    }


def _require_new(field: Overrides, overrides: Overrides, text: str) -> None:
    """A field of the grid is not given by another name, or by --set, too."""
    for plugin, fields in field.items():
        if any(name in overrides.get(plugin, {}) for name in fields):
            raise InputError(f"--grid {text.partition('=')[0]}: this field is given twice")


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _resolved(names: Sequence[str], valid: Any, what: str) -> tuple[str, ...]:
    return _unique([resolve(name, valid, what) for name in names])


def _single(texts: Sequence[str], what: str) -> int | None:
    if len(texts) > 1:
        raise InputError(f"--{what} expects one number, got {','.join(texts)}")
    return _whole(texts[0], what, 1) if texts else None


def _points(texts: Sequence[str]) -> int | Literal["all"] | None:
    return "all" if [text.lower() for text in texts] == ["all"] else _single(texts, "points")


def _whole(text: str, what: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= MOST:
        raise InputError(f"--{what} expects a whole number from {least} to {MOST}, got {text!r}")
    return value
