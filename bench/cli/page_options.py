"""The options of `page`."""

from typing import Any

from bench.cli import examples
from bench.cli.reading_options import add_reading


def add_page(commands: Any) -> None:
    """Adds the command to the others."""
    summary = "draw finished runs as a page for a browser"
    page = commands.add_parser(
        "page", help=summary, description=f"D{summary[1:]}.", epilog=examples.PAGE
    )
    add = page.add_argument
    add(
        "runs",
        metavar="RUN",
        nargs="+",
        help="a run folder (--out of a run), or a folder of run folders",
    )
    add(
        "--out",
        metavar="FILE",
        help="where to write it (default: RUN/page.html; of several runs there is no default)",
    )
    add_reading(add)
