"""The auto_LiRPA library, made to run on current torch and numpy where it is an old release.

Release 0.3, the newest on the package registry, imports or uses three names that are gone.
"""

import sys
import warnings
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any

HINT = (
    "auto_LiRPA is not installed: pip install --no-deps auto-LiRPA; "
    "pip install appdirs packaging pyyaml tqdm"
)
CURRENT = (0, 4)  # from here on nothing is missing


def auto_lirpa() -> ModuleType:
    """The library's module. Raises ImportError."""
    release = version("auto-LiRPA")  # raises a kind of ImportError where it is missing
    if tuple(int(part) for part in release.split(".")[:2]) < CURRENT:
        _give_back_old_names()
    with warnings.catch_warnings(record=True):  # it uses what torch deprecates
        import_module("auto_LiRPA.perturbations")
        return import_module("auto_LiRPA")


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


def _nothing(_: int) -> None:
    """The version of the operator set that tracing writes is no longer a choice."""


def _attribute(node: Any, name: str) -> Any:
    """A traced node's attribute, by its kind ("i", "fs", ...)."""
    return getattr(node, node.kindOf(name))(name)
