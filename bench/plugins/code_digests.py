"""What code computed a result: digests of its files, versions of the libraries it rests on."""

import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.plugins.beside import Beside
from bench.plugins.imports import (
    OURS,
    absolute,
    imported,
    is_installed,
    is_standard,
    locate,
    release,
    spec_of,
)

IN_ALL = (
    "jobs.kinds",
    "jobs.networks",
    "jobs.payloads",
    "jobs.surroundings",
    "data.onnx_file",
)
MODULES: Mapping[str, tuple[str, ...]] = {
    "train": (
        *IN_ALL,
        "jobs.training",
        "jobs.training_progress",
        "jobs.optimisation",
        "jobs.watched",
        "jobs.batch_statistics",
        "jobs.out_of_memory",
        "data.datasets",
        "data.sources",
    ),
    "import": IN_ALL,
    "clean": (*IN_ALL, "jobs.predictions", "jobs.out_of_memory"),
    "judge": (
        *IN_ALL,
        "jobs.judging",
        "jobs.by_radius",
        "jobs.verdict",
        "jobs.known",
        "jobs.resumable_judging",
        "jobs.isolation",
        "jobs.out_of_memory",
        "store.outcome",
    ),
    "verify": (
        *IN_ALL,
        "jobs.verify_job",
        "jobs.verification",
        "jobs.verifier",
        "jobs.isolation",
        "jobs.limited",
        "jobs.open_case",
        "jobs.runtime",
        "jobs.verdict",
        "jobs.violations",
        "store.outcome",
    ),
}
"""Modules of bench that take part in the results of each kind of job."""

TABLE = "relu.network.architectures"  # where jobs look networks up, through the catalogue

APART: Mapping[str, str] = {
    "data.checkpoint": "what it read is in the key, as a digest of the weights",
    "data.datasets": "what it read is in the key, as a fingerprint",
    "data.given_inputs": "what it read is in the key, as a fingerprint",
    "data.holdout": "what it holds out is in the key, as a fingerprint",
    "data.images": "what it read is in the key, as a fingerprint",
    "data.npz": "what it read is in the key, as a fingerprint",
    "data.sources": "what it read is in the key, as a fingerprint",
    "jobs.job": "makes keys; FORMAT in them tells its versions apart",
    "jobs.checkpoints": "checkpoints of trainings; other jobs only tell how far they are",
    "plugins.beside": "finds the code of plugins, which has digests of its own",
    "plugins.catalogue": "looks plugins up, which have digests of their own",
    "plugins.code_digests": "names results",
    "plugins.discovery": "finds plugins, which have digests of their own",
    "plugins.functions": "finds plugins, which have digests of their own",
    "plugins.imports": "names results",
    "plugins.nested_settings": "turns settings into plain values, which are in the key",
    "plugins.settings": "its values are in the key",
    "plugins.training": "its values are in the key",
    "store.provenance": "says where a result comes from",
    "store.records": "turns plain values, which are in the key, into typed ones and back",
    "store.results": "keeps results as they are; FORMAT in their keys tells its versions apart",
}
"""Modules of bench that jobs use and that do not decide what comes out, and why not.

Some are in MODULES too: `data.datasets` and `data.sources` also say how a training augments its
images.
"""

UNCOUNTED = ("annotated_types", "jaxtyping", "packaging")
"""Shapes and ranges in annotations, version numbers: no results."""

CARRIERS = ("onnx", "onnxruntime", "pandas", "safetensors", "scipy", "sklearn", "torchvision")
"""What bench itself only reads and stores with: data and weights, whose digests are in the keys."""


@dataclass(frozen=True, kw_only=True)
class Code:
    """A digest of own code, and top-level module -> version of each library that it imports."""

    digest: str
    versions: Mapping[str, str]


def code_of(kind: str, plugin_code: Code | None) -> dict[str, Any]:
    """The code behind the jobs of a kind, as plain JSON; `plugin_code`: that of their plugin."""
    bench = _bench(kind)
    plugin = {} if plugin_code is None else {"plugin": plugin_code.digest}
    versions = {**bench.versions, **(plugin_code.versions if plugin_code else {})}
    return {"bench": bench.digest, **plugin, "versions": dict(sorted(versions.items()))}


def difference(planned: Mapping[str, Any], here: Mapping[str, Any], plugin: str) -> str:
    """In words, what is not as it was when a run was planned; `plugin`: its name."""
    theirs = planned["versions"]
    ours = here["versions"]
    for name in sorted({*theirs, *ours}):
        if theirs.get(name) != ours.get(name):
            return f"{name} is {ours.get(name)} here, and was {theirs.get(name)}"
    who = plugin if planned.get("plugin") != here.get("plugin") else "the bench"
    return f"the code of {who} is not what it was"


@functools.cache
def _bench(kind: str) -> Code:
    walk = _Walk(None, bench=False)
    walk.follow(TABLE)
    for module in MODULES[kind]:
        walk.follow(f"bench.{module}")
    return walk.code(without=CARRIERS)


def code_behind(name: str, beside: Beside | None = None) -> Code:
    """The code behind a module: its own text, and that of all own modules that it imports.

    Own is what neither Python nor a distribution brings; a module of a distribution owns the rest
    of its package. Of other distributions the version counts. An ordinary module is read once in a
    process, as it is imported once; one that is loaded from `beside` is what was read there. Data
    files, compiled code beside a plugin and names that are computed are not followed.
    """
    walk = _Walk(beside, root=name.partition(".")[0])
    walk.follow(name)
    return walk.code()


class _Walk:
    """Follows imports from module to module.

    root: a top-level name that is followed though it is installed. bench: whether bench's modules
    are followed.
    """

    def __init__(self, beside: Beside | None, *, root: str = "", bench: bool = True) -> None:
        self.beside = beside
        self.root = root
        self.bench = bench
        self.texts: dict[str, bytes] = {}
        self.libraries: set[str] = set()

    def code(self, *, without: tuple[str, ...] = ()) -> Code:
        """Of all that was met."""
        named = {self._shown(name): text for name, text in self.texts.items()}
        parts = [name.encode() + b"\0" + named[name] for name in sorted(named)]
        counted = sorted(self.libraries - {*UNCOUNTED, *without})
        return Code(
            digest=hashlib.sha256(b"\0".join(parts)).hexdigest()[:16],
            versions={name: release(name) for name in counted},
        )

    def follow(self, name: str) -> None:
        """A module, the packages around it, and everything that they import."""
        waiting = [name]
        met: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name in met:
                continue
            met.add(name)
            parent = name.rpartition(".")[0]
            if parent and not (parent == "bench" and not self.bench):
                waiting.append(parent)
            file = self._file(name)
            if file is None or name in self.texts:
                continue
            self.texts[name] = self._text(name, file)
            if file.suffix == ".py":
                package = name if file.name == "__init__.py" else parent
                waiting += self._followed(name, package)

    def _followed(self, name: str, package: str) -> Iterator[str]:
        """The full names of what a module imports, without what libraries bring."""
        beside = self._beside(name)
        for level, written in imported(self.texts[name]):
            full = absolute(package, level, written)
            top = full.partition(".")[0]
            if not level and beside is not None and beside.lies_here(full):
                yield f"{beside.prefix}.{full}"
            elif is_standard(top) or (top == "bench" and not self.bench):
                continue
            elif self._is_own(full, top):
                yield full
            else:
                self.libraries.add(top)

    def _is_own(self, full: str, top: str) -> bool:
        if top in OURS or top == self.root or self._beside(full) is not None:
            return True
        return spec_of(top) is not None and not is_installed(top)

    def _beside(self, name: str) -> Beside | None:
        """Where the module of this full name was loaded from, None for an ordinary one."""
        mine = self.beside is not None and name.startswith(f"{self.beside.prefix}.")
        return self.beside if mine else None

    def _file(self, name: str) -> Path | None:
        beside = self._beside(name)
        file = locate(name) if beside is None else beside.file_of(name)
        return file if file is not None and file.is_file() else None

    def _text(self, name: str, file: Path) -> bytes:
        beside = self._beside(name)
        return _contents(file) if beside is None else beside.read(file)

    def _shown(self, name: str) -> str:
        """The name in the digest: a plugin and what lies beside it may move together."""
        return name.removeprefix(self.beside.prefix) if self.beside else name


@functools.cache
def _contents(file: Path) -> bytes:
    return file.read_bytes()
