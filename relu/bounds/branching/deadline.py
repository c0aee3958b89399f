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
    """A share of the CPU time that passes, for something that can be done without."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.started = time.process_time()
        self.spent = 0.0

    @property
    def left(self) -> bool:
        """Whether less than the share is spent."""
        return self.spent <= self.share * (time.process_time() - self.started)

    @contextlib.contextmanager
    def spending(self) -> Iterator[None]:
        """Counts what a block takes."""
        began = time.process_time()
        try:
            yield
        finally:
            self.spent += time.process_time() - began
