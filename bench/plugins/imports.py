"""What source text imports, and where that lies; nothing is executed to find out."""

import ast
import functools
import importlib.util
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("bench", "evaluators", "leaderboard", "methods", "relu")
ABSENT = "absent"
INSTALLED = ("site-packages", "dist-packages")  # names of the folders that pip fills


@functools.lru_cache(maxsize=1024)
def imported(text: bytes) -> tuple[tuple[int, str], ...]:
    """(level, dotted name) of everything that may be a module; level: dots of a relative import.

    Wherever it stands: in functions too, and import_module("name") with the name written out.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # whoever runs it is told
        return ()
    return tuple(dict.fromkeys(name for node in ast.walk(tree) for name in _named(node)))


def _named(node: ast.AST) -> list[tuple[int, str]]:
    match node:
        case ast.Import(names=aliases):
            return [(0, alias.name) for alias in aliases]
        case ast.ImportFrom(module=module, names=aliases, level=level):
            parts = [module] if module else []
            inner = [".".join([*parts, alias.name]) for alias in aliases if alias.name != "*"]
            return [(level, name) for name in [*(parts or [""]), *inner]]
        case ast.Call(
            func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            plain = name.lstrip(".")
            return [(len(name) - len(plain), plain)]
    return []


def absolute(package: str, level: int, name: str) -> str:
    """The full name of what a module in `package` imports; "" beyond its outmost package."""
    if not level:
        return name
    parts = package.split(".")
    if not package or level > len(parts):
        return ""
    return ".".join([*parts[: len(parts) - level + 1], *([name] if name else [])])


def locate(name: str) -> Path | None:
    """The file of a module that is found as every import finds it, None where it has none."""
    top, *parts = name.split(".")
    if top in OURS:
        return _inside([ROOT], [top, *parts])
    spec = spec_of(top)
    if spec is None:
        return None
    if parts:
        return _inside([Path(place) for place in spec.submodule_search_locations or ()], parts)
    return Path(spec.origin) if spec.has_location and spec.origin else None


def _inside(places: list[Path], parts: list[str]) -> Path | None:
    *folders, last = parts
    for place in places:
        folder = place.joinpath(*folders)
        names = [f"{last}/__init__.py", *(f"{last}{end}" for end in (".py", *EXTENSION_SUFFIXES))]
        for file in (folder / name for name in names):
            if file.is_file():
                return file
    return None


def spec_of(top: str) -> ModuleSpec | None:
    """How a top-level module is found; what this process has imported is not looked for again."""
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None


def is_elsewhere(top: str) -> bool:
    """Whether a top-level module with a file is found as every import finds it."""
    spec = spec_of(top)
    return spec is not None and spec.origin is not None


def is_installed(top: str) -> bool:
    """Whether a top-level module came with a distribution, and not as somebody's own code."""
    spec = spec_of(top)
    if spec is None:
        return False
    origin = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
    folder = Path(origin).parents[1 if Path(origin).name == "__init__.py" else 0]
    return _is_pip_filled(folder)


@functools.cache
def _is_pip_filled(folder: Path) -> bool:
    return any(name in folder.parts for name in INSTALLED) or any(folder.glob("*.dist-info"))


@functools.cache
def release(top: str) -> str:
    """The version of what brings a top-level module, "absent" where there is none.

    Without the local part of 2.13.0+cpu: builds of one release round as differently as processors
    do, which proofs allow for, and results of two machines shall be found under the same keys.
    Provenance names the build.
    """
    if spec_of(top) is None:
        return ABSENT
    try:
        return _public(version(top))
    except PackageNotFoundError:  # it is called otherwise, as scikit-learn is; slow to find out
        names = sorted(set(packages_distributions().get(top, ())))
        return " ".join(f"{name} {_public(version(name))}" for name in names)


def _public(text: str) -> str:
    return text.partition("+")[0]


def is_standard(top: str) -> bool:
    """Whether a top-level module is Python's own."""
    return top in sys.stdlib_module_names or top in ("", "__main__")
