"""A plugin file given by its path, and what lies beside it, loaded under names of its own.

`import helper` and `from .losses import f` find what lies beside the file, wherever the process
was started; where the file imports from a package that it is part of, also what lies beside the
package. Names of the standard library and of the bench mean these. No two plugins share a helper.
Each file is read once: what was read is what runs, and what is digested. Bytecode caches are left
alone, as they know a file by its time and size only.
"""

import builtins
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.plugins.imports import OURS, imported, is_elsewhere

PREFIX = "bench_plugin_"
_loads = itertools.count()


class Beside:
    """A plugin file and the modules beside it, whose names begin with `prefix`."""

    def __init__(self, file: Path) -> None:
        self.file = file.absolute()
        self.prefix = f"{PREFIX}{next(_loads)}_{file.stem.replace('.', '_')}"
        self._texts: dict[Path, bytes] = {}
        packages = self._packages()
        top = packages[-1].parent if packages else self.file.parent
        self.folders = tuple(dict.fromkeys((self.file.parent, top)))
        parts = [package.name for package in reversed(packages)]
        self.name = ".".join([self.prefix, *parts, self.file.stem])

    def load(self) -> ModuleType:
        """Runs the plugin, after the packages that it imports from; whatever it raises."""
        _OWNERS[self.prefix] = self
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)
        package = ModuleType(self.prefix)
        package.__path__ = []
        sys.modules[self.prefix] = package
        parent = self.name.rpartition(".")[0]
        if parent != self.prefix:
            importlib.import_module(parent)
        if self.name in sys.modules:  # its package has imported it
            return sys.modules[self.name]
        spec = self._spec(self.name, self.file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[self.name] = module  # dataclasses look their module up
        _Loader(self.name, self).exec_module(module)
        return module

    def read(self, file: Path) -> bytes:
        """The file as it was when it was first read."""
        if file not in self._texts:
            self._texts[file] = file.read_bytes()
        return self._texts[file]

    def lies_here(self, name: str) -> bool:
        """Whether an absolute import of this (dotted) name means something beside the plugin."""
        top = name.partition(".")[0]
        if not top or top in OURS or top in sys.stdlib_module_names:
            return False
        place = self.locate(top)
        return place is not None and (place.is_file() or not is_elsewhere(top))

    def locate(self, name: str) -> Path | None:
        """The file of a module beside the plugin, or its folder where a package has no file."""
        path = name.replace(".", "/")
        for folder in self.folders:
            for file in (folder / path / "__init__.py", folder / f"{path}.py"):
                if file.is_file():
                    return file
        spaces = (folder / path for folder in self.folders)
        return next((space for space in spaces if any(space.glob("*.py"))), None)

    def find(self, fullname: str) -> importlib.machinery.ModuleSpec | None:
        """How to load the module of this full name, None where there is no file."""
        place = self.file_of(fullname)
        return None if place is None else self._spec(fullname, place)

    def file_of(self, fullname: str) -> Path | None:
        """The file, or folder, of a module under its full name; None where there is none."""
        name = fullname.removeprefix(f"{self.prefix}.")
        return self.file if fullname == self.name else self.locate(name)

    def import_(
        self,
        name: str,
        scope: Mapping[str, object] | None = None,
        inner: Mapping[str, object] | None = None,
        wanted: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What `import` does in these modules: first it looks beside the plugin."""
        if level or not self.lies_here(name):
            return builtins.__import__(name, scope, inner, wanted or (), level)
        module = builtins.__import__(f"{self.prefix}.{name}", scope, inner, wanted or (), 0)
        return module if wanted else sys.modules[f"{self.prefix}.{name.partition('.')[0]}"]

    def _packages(self) -> list[Path]:
        """The folders of the packages that the plugin is in and imports from, the inmost first."""
        around: list[Path] = []
        folder = self.file.parent
        while (folder / "__init__.py").is_file() and folder.name.isidentifier():
            around.append(folder)
            folder = folder.parent
        names = imported(self.read(self.file))
        inside = any(
            level > 0 or (around and name.partition(".")[0] == around[-1].name)
            for level, name in names
        )
        ours = bool(around) and around[-1].name in OURS  # a plugin in a folder of the bench
        return around if inside and not ours else []

    def _spec(self, fullname: str, place: Path) -> importlib.machinery.ModuleSpec:
        if place.is_dir():
            spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(place)]
            return spec
        package = place.name == "__init__.py" and place != self.file
        file_spec = importlib.util.spec_from_file_location(
            fullname,
            place,
            loader=_Loader(fullname, self),
            submodule_search_locations=[str(place.parent)] if package else None,
        )
        assert file_spec is not None
        return file_spec


class _Loader(importlib.abc.SourceLoader):
    """Compiles what was read, with an `import` that looks beside the plugin."""

    def __init__(self, fullname: str, beside: Beside) -> None:
        self.fullname = fullname
        self.beside = beside

    def get_filename(self, fullname: str) -> str:
        place = self.beside.file_of(fullname)
        if place is None:
            raise ImportError(fullname)
        return str(place)

    def get_data(self, path: str | bytes) -> bytes:
        return self.beside.read(Path(str(path)))

    def exec_module(self, module: ModuleType) -> None:
        module_builtins: dict[str, Any] = {**vars(builtins), "__import__": self.beside.import_}
        vars(module)["__builtins__"] = module_builtins
        super().exec_module(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds what lies beside the plugins that this process has loaded."""

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        owner = _OWNERS.get(fullname.partition(".")[0])
        return None if owner is None else owner.find(fullname)


_OWNERS: dict[str, Beside] = {}
_FINDER = _Finder()
