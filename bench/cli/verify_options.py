"""The options and the help text of `verify`."""

from typing import Any

from bench.cli.running_options import add_processes

EXAMPLES = """\
examples:
  python -m bench verify property.vnnlib --network net.onnx --timeout 60
  python -m bench verify query.vnnlib.gz --network f=net.onnx --eval pgd,crown,mip
  python -m bench verify instances.csv --out results --workers 2

The first line of the output is the verdict: sat (some input meets all assertions, it stands
below), unsat (none does), unknown or timed-out. What else is to be said goes to stderr."""


def add_verify(commands: Any) -> None:
    """Adds the command to those of the parser."""
    verify = commands.add_parser(
        "verify",
        help="decide properties in VNN-LIB of networks in ONNX",
        description="Decide a property in VNN-LIB of a network in ONNX, or a list of them.",
        epilog=EXAMPLES,
    )
    add = verify.add_argument
    add(
        "query",
        metavar="QUERY",
        help="a property (.vnnlib, version 1.0 or 2.0; .gz, too), or a list of instances (.csv) "
        "with rows of network, property, seconds",
    )
    add(
        "--network",
        metavar="[NAME=]FILE",
        help="the network in ONNX; NAME is that of the property's declare-network (2.0)",
    )
    add(
        "--timeout",
        metavar="SECONDS",
        help="after which a query is given up, files being read included; of a list, at most what "
        "its rows say (default: no limit, or the rows')",
    )
    add("--eval", metavar="A,B", help="evaluators, or all (default: all), the cheapest one first")
    add(
        "--set",
        metavar="NAME.FIELD=VALUE",
        action="append",
        default=[],
        help="change a setting of an evaluator, e.g. pgd.restarts=5; may be repeated (see: list)",
    )
    add(
        "--out",
        metavar="DIR",
        help="of a list: the folder for results.csv, a file for each counterexample, and all "
        "verdicts, from which a second run goes on",
    )
    add(
        "--plugin",
        metavar="FILE",
        action="append",
        default=[],
        help="a Python file with an evaluator of yours; may be repeated",
    )
    add_processes(verify.add_argument_group("where and how the instances of a list are judged"))
