"""How large the network of a file may be: what no memory holds is refused before it is tried."""

import math
from collections.abc import Iterable

from relu.errors import InputError

MOST_NODES = 10_000
MOST_WEIGHTS = 2**28  # entries of all constants
MOST_VALUES = 2**26  # entries of all values on the way of one input
MOST_PRODUCTS = 2**34  # in all sums on the way of one input
LONGEST_NAME = 60  # characters of a name in a message


class Total:
    """Numbers that add up to at most a limit; InputError beyond it."""

    def __init__(self, what: str, limit: int) -> None:
        self.what = what
        self.limit = limit
        self.sum = 0

    def add(self, shape: Iterable[int], times: int = 1) -> None:
        """Raises InputError where the total goes beyond the limit."""
        sizes = [int(size) for size in shape]
        if any(size < 0 for size in sizes):
            raise InputError(f"the file has a shape with a negative size: {sizes[:8]}")
        self.sum += math.prod(sizes) * times
        if self.sum > self.limit:
            raise InputError(f"the network has too many {self.what}: more than {self.limit:,}")


def shown(name: object) -> str:
    """A name of the file, in quotes, on one line."""
    text = str(name)
    return repr(text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 3]}...")
