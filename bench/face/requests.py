"""What one command asks for: options and suites turned into checked Requests."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench.data.radii import require_inside
from bench.face.grid import grid_points, merged, require_new
from bench.face.options import Options
from bench.face.suites import read_suite, suite_file
from bench.parsing import (
    one_number,
    parse_box,
    parse_eps,
    parse_norm,
    point_count,
    split,
    whole_number,
)
from bench.plan.request import TRAIN, Request
from bench.plugins.catalogue import Catalogue
from bench.plugins.settings import Overrides, parse_overrides
from relu.errors import InputError
from relu.threat import Norm, Threat

T = TypeVar("T")

_NOTHING = Options()


def make_requests(options: Options, catalogue: Catalogue) -> list[Request]:
    """What options (and a suite) describe: a request for each part of the suite, or just one.

    Options win over every part; checkpoints are not looked at. Raises InputError.
    """
    suite = options.get("suite")
    if suite == "":
        raise InputError("--suite expects a value, got ''")
    parts = read_suite(suite) if suite else [{}]
    file = str(suite_file(suite)) if suite else ""
    asked = [_Asked(options, part, file, catalogue) for part in parts]
    plugins = {
        kind: _unique([name for part in asked for name in part.chosen[kind]])
        for kind in ("method", "evaluator")
    }
    return [part.request(plugins) for part in asked]


def make_request(options: Options, catalogue: Catalogue) -> Request:
    """The request of options without a suite, or with one that has no parts. Raises InputError."""
    (request,) = make_requests(options, catalogue)
    return request


class _Asked:
    """The options of a command over those of a part of its suite."""

    def __init__(
        self, options: Options, part: Mapping[str, Any], file: str, catalogue: Catalogue
    ) -> None:
        self.options = options
        self.part = part
        self.file = file
        self.catalogue = catalogue
        self.chosen = {
            "method": self.parsed("methods", self._method),
            "evaluator": self._evaluators(),
        }
        alone = self if options is _NOTHING else _Asked(_NOTHING, part, file, catalogue)
        self.named = alone.chosen  # by the suite, whatever is left

    def _method(self, name: str) -> str:
        return self.catalogue.find("method", name).name

    def _evaluators(self) -> tuple[str, ...]:
        if [name.lower() for name in self.texts("eval", "all")] == ["all"]:
            return tuple(plugin.name for plugin in self.catalogue.everybody)
        return self.parsed("eval", lambda name: self.catalogue.find("evaluator", name).name)

    def from_suite(self, key: str) -> bool:
        """Whether the key's value is the suite's."""
        return self.options.get(key) is None and key in self.part

    def where(self, key: str) -> str:
        """Where the key's value stands."""
        return f"suite {self.file}: {key}" if self.from_suite(key) else f"--{key}"

    def texts(self, key: str, default: str = "") -> list[str]:
        """The texts of a key's value."""
        value = self.part.get(key) if self.from_suite(key) else self.options.get(key)
        empty = value is None
        return split(default if empty else value, self.where(key), empty=empty)

    def parsed(self, key: str, parse: Callable[[str], T], default: str = "") -> tuple[T, ...]:
        """What the texts of a key's value mean, each once."""
        texts = self.texts(key, default)
        with self._located(key):
            return tuple(dict.fromkeys(parse(text) for text in texts))

    @contextlib.contextmanager
    def _located(self, key: str) -> Iterator[None]:
        """Errors about a value of the suite, which do not say where it stands, now do."""
        try:
            yield
        except InputError as error:
            if self.from_suite(key):
                raise InputError(f"{self.where(key)}: {error}") from error
            raise

    def request(self, plugins: Mapping[str, Sequence[str]]) -> Request:
        """`plugins`: those of all parts, as settings may be about another part's."""
        overrides = self._overrides(plugins)
        datasets = self.parsed("dataset", self.catalogue.find_source, self._usual_dataset())
        norms = self.parsed("norm", parse_norm, "linf")
        box = self._box()
        return Request(
            datasets=datasets,
            archs=self.parsed("arch", self.catalogue.find_architecture),
            methods=self.chosen["method"],
            evaluators=self.chosen["evaluator"],
            norms=norms,
            eps=self._eps(datasets, norms, box),
            box=box,
            seeds=self._seeds(),
            points=point_count(self.texts("points"), self.where("points")),
            epochs=self._epochs(overrides),
            overrides=overrides,
            cascade=self.part.get("cascade", True) and not self.options.no_cascade,
            published=self.part.get("published"),
            suite=self.file,
            judged=self._judged(datasets, box),
            inputs=self._inputs(datasets),
            settings_place=self._settings_place(),
            points_place=self.where("points"),
        )

    def _judged(
        self, datasets: Sequence[str], box: tuple[float, float]
    ) -> tuple[tuple[Norm, float], ...]:
        """The norms and radii of --judge, each norm once."""
        judged = self.parsed("judge", _norm_and_radius)
        norms = [norm for norm, _ in judged]
        if len(set(norms)) < len(norms):
            raise InputError(f"{self.where('judge')} expects each norm once, got {norms}")
        with self._located("judge"):
            for (norm, eps), dataset in itertools.product(judged, datasets):
                threat = Threat(norm=norm, eps=eps, box=box)
                require_inside(threat, dataset, self.catalogue.sources[dataset].shape)
        return judged

    def _inputs(self, datasets: Sequence[str]) -> str:
        """The absolute path of --inputs, which are of one data set."""
        inputs = self.options.get("inputs")
        if inputs is None:
            return ""
        if inputs == "":
            raise InputError("--inputs expects a value, got ''")
        if len(datasets) > 1:
            raise InputError(f"--inputs expects one --dataset, got {', '.join(datasets)}")
        return str(Path(inputs).absolute())

    def _settings_place(self) -> str:
        """What errors about settings call their place: the suite, if there is one."""
        mixed = " or an option" if self.options.set or self.options.grid else ""
        return f"suite {self.file}{mixed}" if self.file else ""

    def _box(self) -> tuple[float, float]:
        text = ",".join(self.texts("box", "0,1"))
        with self._located("box"):
            return parse_box(text)

    def _eps(
        self, datasets: Sequence[str], norms: Sequence[Norm], box: tuple[float, float]
    ) -> tuple[float, ...]:
        radii = self.parsed("eps", parse_eps)
        with self._located("eps"):
            for norm, eps, dataset in itertools.product(norms, radii, datasets):
                threat = Threat(norm=norm, eps=eps, box=box)
                require_inside(threat, dataset, self.catalogue.sources[dataset].shape)
        return radii

    def _usual_dataset(self) -> str:
        """The one that is a file, if any is; else the one that needs none."""
        files = [name for name, source in self.catalogue.sources.items() if source.file]
        return files[0] if files else "digits"

    def _seeds(self) -> tuple[int, ...]:
        where = self.where("seeds")
        return tuple(dict.fromkeys(whole_number(t, where, 0) for t in self.texts("seeds", "0")))

    def _epochs(self, overrides: Sequence[Overrides]) -> int | None:
        epochs = one_number(self.texts("epochs"), self.where("epochs"))
        if epochs is not None and any(
            "epochs" in by_plugin.get(TRAIN, {}) for by_plugin in overrides
        ):
            where = self.where("epochs")
            raise InputError(f"{where} and train.epochs say the same thing: give one of them")
        return epochs

    def _overrides(self, plugins: Mapping[str, Sequence[str]]) -> tuple[Overrides, ...]:
        """One for each point of the grid, without what is about another part's plugins.

        A suite may set fields of what the options leave out; options themselves may not.
        """
        kinds = {kind: _unique([*plugins[kind], *self.named[kind]]) for kind in plugins}
        suite = [f"{name}={value}" for name, value in self.part.get("set", {}).items()]
        always = merged(
            parse_overrides(suite, self.catalogue, kinds, option=f"suite {self.file}: set"),
            parse_overrides(self.options.set, self.catalogue, plugins),
        )
        asked = {text.partition("=")[0].strip() for text in self.options.grid}
        in_suite = f"suite {self.file}: grid"
        axes = {
            field: split(values, f"{in_suite} {field}", empty=False)
            for field, values in self.part.get("grid", {}).items()
        }
        by_point = []
        for point in grid_points(axes, self.options.grid):
            overrides = always
            for text in point:
                ours = text.partition("=")[0] in asked
                theirs, option = (plugins, "--grid") if ours else (kinds, in_suite)
                field = parse_overrides([text], self.catalogue, theirs, option=option)
                require_new(field, overrides, f"{option} {text.partition('=')[0]}")
                overrides = merged(overrides, field)
            by_point.append(overrides)
        return tuple(
            {
                (kind, name): fields
                for (kind, name), fields in by_plugin.items()
                if (kind, name) == TRAIN or name in self.chosen[kind]
            }
            for by_plugin in by_point
        )


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _norm_and_radius(text: str) -> tuple[Norm, float]:
    """What "linf=0.1" says. Raises InputError."""
    norm, equals, eps = text.partition("=")
    if not equals:
        raise InputError(
            f"--judge expects NORM=EPS,..., such as l1=1,linf=0.1,l2=0.3; got {text!r}"
        )
    return parse_norm(norm), parse_eps(eps)
