"""The auto_LiRPA library, made to run on current torch and numpy where it is an old release.

Release 0.3, the newest on the package registry, imports or uses three names that are gone, and
misses an argument that torch passes today.
"""

import logging
import sys
import warnings
from functools import wraps
from importlib import import_module
from importlib.metadata import version
from inspect import signature
from types import ModuleType
from typing import Any

HINT = (
    "auto_LiRPA is not installed: pip install --no-deps auto-LiRPA; "
    "pip install appdirs packaging pyyaml tqdm"
)
CURRENT = "0.4"  # from here on nothing is missing


def auto_lirpa() -> ModuleType:
    """The library's module. Raises ImportError."""
    release = version("auto-LiRPA")  # raises a kind of ImportError where it is missing
    parse = import_module("packaging.version").Version
    old = parse(release) < parse(CURRENT)
    if old:
        _give_back_old_names()
    handlers = list(logging.getLogger().handlers)
    recursion = sys.getrecursionlimit()
    with warnings.catch_warnings(record=True):  # it uses what torch deprecates
        import_module("auto_LiRPA.perturbations")
        library = import_module("auto_LiRPA")
    logging.getLogger().handlers[:] = handlers  # it adds one
    sys.setrecursionlimit(recursion)  # it asks for a million
    if old:
        _take_new_arguments(library)
    return library


def _give_back_old_names() -> None:
    numpy: Any = import_module("numpy")
    helper: Any = import_module("torch.onnx.symbolic_helper")
    node: Any = import_module("torch._C").Node
    if not hasattr(numpy.lib, "arraysetops"):
        module: Any = ModuleType("numpy.lib.arraysetops")
        module.isin = numpy.isin
        sys.modules[module.__name__] = numpy.lib.arraysetops = module
    if not hasattr(helper, "_set_opset_version"):
        helper._set_opset_version = _nothing
    if not hasattr(node, "__getitem__"):
        node.__getitem__ = _attribute


def _take_new_arguments(library: Any) -> None:
    old = library.BoundedModule._named_members
    if "remove_duplicate" in signature(old).parameters or hasattr(old, "__wrapped__"):
        return

    @wraps(old)
    def named_members(self: Any, *args: Any, remove_duplicate: bool = True, **named: Any) -> Any:
        return old(self, *args, **named)

    library.BoundedModule._named_members = named_members


def _nothing(_: int) -> None:
    """The version of the operator set that tracing writes is no longer a choice."""


def _attribute(node: Any, name: str) -> Any:
    """A traced node's attribute, by its kind ("i", "fs", ...)."""
    return getattr(node, node.kindOf(name))(name)
