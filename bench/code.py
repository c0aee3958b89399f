"""Digests of code, so that a result is known by the formulas that computed it."""

import ast
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLLOWED = ("relu", "methods", "evaluators")  # whose imports are followed; bench files are named


MODULES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "data", "sources"), "import": ("checkpoint",),
    "clean": ("verdict", "worker"), "judge": ("verdict", "worker"),
}  # fmt: skip
"""Modules of bench that take part in the results of each kind of job."""


def code_of(kind: str, own: str | None) -> list[str]:
    """Digests of the code behind the jobs of a kind; `own`: that of their method or evaluator."""
    return [_bench(kind)] if own is None else [own, _bench(kind)]


@functools.cache
def _bench(kind: str) -> str:
    return digest(*(ROOT / "bench" / f"{module}.py" for module in MODULES[kind]))


def digest(*files: Path, anew: bool = False) -> str:
    """A digest of the files and of all modules of relu, methods and evaluators they import.

    Modules are imported once in a process, so their files are read once, too: a digest is that of
    the code that runs here. `anew`: `files` themselves are executed anew, and read anew.
    """
    seen: dict[str, bytes] = {}
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        name = str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else file.name
        if name not in seen:
            seen[name] = file.read_bytes() if anew and file in files else _contents(file)
            waiting += _imports(seen[name])
    parts = [name.encode() + b"\0" + seen[name] for name in sorted(seen)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


@functools.cache
def _contents(file: Path) -> bytes:
    return file.read_bytes()


def _imports(text: bytes) -> list[Path]:
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    files = [
        ROOT / f"{name.replace('.', '/')}.py" for name in names if name.split(".")[0] in FOLLOWED
    ]
    return [file for file in files if file.is_file()]
