"""What is asked for, as texts: the same from Python and from the command line."""

from types import SimpleNamespace
from typing import Any


class Options(SimpleNamespace):
    """Texts by the names of the long options of a command, with _ for -.

    None: not said. What may be repeated is a list of texts, what takes no value is a bool.
    """

    def get(self, name: str) -> Any:
        """What is said of an option, None where the command has none of that name."""
        return getattr(self, name, None)

    def but(self, **others: Any) -> "Options":
        """The same, but for these."""
        return Options(**{**vars(self), **others})
