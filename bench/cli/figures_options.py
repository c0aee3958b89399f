"""The options of `figures`."""

from typing import Any

from bench.cli import examples
from bench.cli.reading_options import add_reading
from leaderboard.figures.optional import FIGURES, TOY


def add_figures(commands: Any) -> None:
    """Adds the command to the others."""
    summary = "draw the paper's Figures 2 to 6, curves and fronts of finished runs, as SVG and PDF"
    figures = commands.add_parser(
        "figures", help=summary, description=f"D{summary[1:]}.", epilog=examples.FIGURES
    )
    add = figures.add_argument
    add("runs", metavar="RUN", nargs="*", help="a run folder (--out of a run)")
    add(
        "--only",
        metavar="A,B",
        help=f"these figures, of {', '.join(FIGURES)} (default: all but {TOY} that the runs have "
        "data for); figure2 to figure6 are names, too",
    )
    add("--out", metavar="DIR", help="where to write (default: RUN/figures)")
    add("--method", metavar="A,B", help="networks of these methods (default: all)")
    add(
        "--input",
        metavar="N,M",
        help="the judged inputs that regions, witness and gradients show, by their numbers "
        "(default: the first that serve)",
    )
    add_reading(add)
