"""When a search ends: after CPU seconds of its own."""

import time
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
