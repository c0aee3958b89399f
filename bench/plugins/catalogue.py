"""Everything that names on the command line may mean: plugins, architectures, data sets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.data.onnx_file import onnx_architecture
from bench.data.sources import SOURCES, Source
from bench.parsing import resolve, suggestion
from bench.plugins import nested_settings
from bench.plugins.code_digests import Code
from relu.errors import InputError
from relu.network.architecture import Architecture
from relu.network.architectures import ARCHITECTURES, dense_architecture
from relu.ranges import declares_range, require
from relu.threat import Threat

Kind = Literal["method", "evaluator"]
WIDTHS = "fc:500-200"  # stands for all architectures that say their widths


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A method's or evaluator's class under the name of its file."""

    kind: Kind
    name: str
    cls: type[Any]
    source: Path
    code: Code
    """behind it: an edited plugin, or a helper of it, gives new results, not the old ones"""

    @property
    def aliases(self) -> tuple[str, ...]:
        return (self.cls.label, *getattr(self.cls, "aliases", ()))

    @property
    def turn(self) -> tuple[int, str]:
        """By what evaluators are ordered, the cheapest first."""
        return getattr(self.cls, "cost", 100), self.name

    def fields(self) -> dict[str, object]:
        """Settings and their defaults."""
        return nested_settings.flat(self.cls())

    def build(self, changes: Mapping[str, Any]) -> Any:
        """An instance with these (dotted) fields changed. Raises InputError where it refuses."""
        hints = nested_settings.field_types(self.cls)
        for name, value in changes.items():
            if declares_range(hints.get(name)):
                require(value, hints[name], f"{self.name}.{name}")
        try:
            return nested_settings.changed(self.cls(), changes)
        except InputError:
            raise
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(f"{self.name} refuses {dict(changes)}: {reason}") from error

    def defaults(self, dataset: str, arch: str, threat: Threat) -> dict[str, Any]:
        """What the class says of this case; "train." keys are the training loop's."""
        if not hasattr(self.cls, "defaults"):
            return {}
        try:
            defaults = dict(self.cls.defaults(dataset, arch, threat))
        except Exception as error:
            raise InputError(f"{self.name}.defaults({dataset!r}, ...) fails: {error}") from error
        valid = [*self.fields(), "train.epochs", "train.batch", "train.lr"]
        if unknown := [name for name in defaults if name not in valid]:
            raise InputError(f"{self.name}.defaults: {unknown[0]!r} is none of {', '.join(valid)}")
        return defaults


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Everything that is there, by name. sources: data sets."""

    methods: Mapping[str, Plugin]
    evaluators: Mapping[str, Plugin]
    architectures: Mapping[str, Architecture] = field(default_factory=lambda: ARCHITECTURES)
    sources: Mapping[str, Source] = field(default_factory=lambda: SOURCES)

    @property
    def everybody(self) -> list[Plugin]:
        """The evaluators that "all" means: those that are not asked on request alone."""
        plugins = self.evaluators.values()
        return [plugin for plugin in plugins if not getattr(plugin.cls, "on_request", False)]

    def of(self, kind: Kind) -> Mapping[str, Plugin]:
        return self.methods if kind == "method" else self.evaluators

    def find(self, kind: Kind, name: str) -> Plugin:
        """The plugin that `name` means. Raises InputError with the valid names."""
        plugins = self.of(kind)
        return plugins[_named(name, {n: p.aliases for n, p in plugins.items()}, kind)]

    def find_architecture(self, name: str) -> str:
        """The architecture's name that `name` means. Raises InputError with the valid ones."""
        if dense_architecture(name) is not None:
            return name
        valid = {**dict.fromkeys(self.architectures, ()), WIDTHS: ()}
        return _named(name, valid, "architecture")

    def architecture(self, name: str) -> Architecture | None:
        """The architecture of this very name, if there is one."""
        return self.architectures.get(name) or dense_architecture(name)

    def architecture_of(
        self,
        name: str,
        *,
        code: str = "",
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        graph: bytes | None = None,
    ) -> Architecture:
        """The architecture that a job names; `graph`: the ONNX file that it is, if it is.

        Raises InputError where there is none, or its code, or the file, is not what it was.
        """
        if graph is not None:
            architecture = onnx_architecture(graph)
        elif (named := self.architecture(name)) is not None:
            architecture = named
        else:
            raise InputError(f"architecture {name!r} is not here: give its file with --plugin")
        if architecture.code != code:
            raise InputError(
                f"the code of architecture {name!r} is not what it was when the run was planned"
            )
        return architecture.normalised(tuple(mean), tuple(std))

    def find_source(self, name: str) -> str:
        """The data set's name that `name` means. Raises InputError with the valid ones."""
        return _named(name, {n: s.aliases for n, s in self.sources.items()}, "data set")


def _named(name: str, valid: Mapping[str, Iterable[str]], kind: str) -> str:
    try:
        return resolve(name, valid, kind)
    except InputError as error:
        file = Path(f"{name}.py")
        if suggestion(name, valid) and not file.is_file():
            raise
        file = file if file.is_file() else Path("FILE")
        hint = f" ({kind}s of yours are given with --plugin {file})"
        raise InputError(f"{error}{hint}") from error
