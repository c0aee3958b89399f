"""When a search ends: after CPU seconds of its own."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A point of the process's CPU time."""

    end: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """So many CPU seconds from now."""
        return cls(time.process_time() + seconds)

    @property
    def left(self) -> float:
        """CPU seconds until then."""
        return self.end - time.process_time()

    @property
    def passed(self) -> bool:
        return self.left <= 0

    def share(self, parts: float) -> "Deadline":
        """The end of the first of so many equal parts of what is left."""
        return Deadline.after(self.left / parts)


class Allowance:
    """A share of the CPU time that passes, for something that can be done without.

    usual: CPU seconds that it takes, which have to be there before it is begun.
    """

    def __init__(self, share: float, *, usual: float = 0.0) -> None:
        self.share = share
        self.usual = usual
        self.started = time.process_time()
        self.spent = 0.0

    @property
    def left(self) -> bool:
        """Whether the share has room for it once more."""
        return self.spent + self.usual <= self.share * (time.process_time() - self.started)

    @contextlib.contextmanager
    def spending(self) -> Iterator[None]:
        """Counts what a block takes."""
        began = time.process_time()
        try:
            yield
        finally:
            self.spent += time.process_time() - began
