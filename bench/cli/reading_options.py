"""The options of commands that read finished runs, about what is not in a run folder."""

from collections.abc import Callable
from typing import Any


def add_reading(add: Callable[..., Any]) -> None:
    """Adds where data sets, given inputs and plugins are, to a parser by its `add_argument`."""
    add(
        "--data",
        metavar="PLACE",
        help="a folder with data sets, or an npz file of images of yours (default: $BENCH_DATA)",
    )
    add("--inputs", metavar="FILE", help="the file that the run's --inputs named, if it did")
    add(
        "--plugin",
        metavar="FILE",
        action="append",
        default=[],
        help="a Python file with an architecture or a data set of the run; may be repeated",
    )
