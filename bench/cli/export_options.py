"""The options of `export`."""

from typing import Any

from bench.cli import examples
from bench.cli.reading_options import add_reading


def add_export(commands: Any) -> None:
    """Adds the command to the others."""
    summary = "write a run's networks as ONNX files, with model cards and questions in VNN-LIB"
    export = commands.add_parser(
        "export", help=summary, description=f"W{summary[1:]}.", epilog=examples.EXPORT
    )
    add = export.add_argument
    add("run", metavar="RUN", help="a run folder (--out of a run)")
    add("--out", metavar="DIR", required=True, help="where to write; made where it is not there")
    add(
        "--only",
        metavar="KEY=NAME",
        action="append",
        default=[],
        help="keep these rows, e.g. dataset=mnist,method=mmr; keys are dataset, arch, norm and "
        "method; may be repeated: names of one key add up",
    )
    add(
        "--questions",
        metavar="N",
        help="also write whether the network is robust at the first N judged inputs, or at those "
        "of these numbers (3,17; one alone: 3,), as VNN-LIB 1.0, with an instances.csv",
    )
    add(
        "--timeout",
        metavar="SECONDS",
        default="60",
        help="what instances.csv grants each question (default: 60)",
    )
    add_reading(add)
