"""The options of `show`."""

from typing import Any

from bench.cli import examples
from bench.cli.reading_options import add_reading


def add_show(commands: Any) -> None:
    """Adds the command to the others."""
    summary = "show what is known of one test input, and its pictures"
    show = commands.add_parser(
        "show", help=summary, description=f"S{summary[1:]}.", epilog=examples.SHOW
    )
    add = show.add_argument
    add("runs", metavar="RUN", nargs="+", help="a run folder (--out of a run)")
    add("--input", metavar="N", required=True, help="the number of the test input, from 0")
    add("--method", metavar="NAME", help="whose network (default: the only one there is)")
    for name, what in (
        ("dataset", "its data set"),
        ("arch", "its architecture"),
        ("norm", "what it was judged under: linf, l2 or l1"),
        ("eps", "and within which radius"),
        ("seed", "of its training"),
    ):
        add(f"--{name}", metavar="VALUE", help=f"{what}, where several networks have the name")
    add("--json", action="store_true", help="print it as JSON")
    add("--out", metavar="DIR", help="where its pictures are written (default: RUN/inputs)")
    add_reading(add)
