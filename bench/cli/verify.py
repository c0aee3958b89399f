"""`verify`: properties in VNN-LIB of networks in ONNX."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.face.evaluators import named_evaluators
from bench.face.options import Options
from bench.face.run_options import parse_run_options
from bench.parsing import parse_seconds, split
from bench.pipeline.properties import RESULTS, Asked, decide, decide_list
from bench.plugins.catalogue import Catalogue
from bench.plugins.discovery import discover
from bench.plugins.settings import parse_overrides
from relu.errors import InputError
from relu.network.property.vnnlib.assignments import assignment
from relu.network.property.vnnlib.instances import read_instances

# Options of other commands that compute, as lists of properties have them: every property has a
# time limit of its own, and no use for a card.
FIXED: Mapping[str, object] = {
    "timeout": "none",
    "gpus": "none",
    "jobs_per_gpu": "1",
    "data": None,
    "reproducible": False,
    "dry_run": False,
}


def verify_command(options: Options) -> int:
    """Prints the verdict on a property, or judges a whole list; 0."""
    catalogue = discover([Path(file) for file in options.plugin])
    asked = _evaluators(options, catalogue)
    seconds = parse_seconds("none" if options.timeout is None else options.timeout, "--timeout")
    if Path(options.query).suffix == ".csv":
        return _list(options, asked, seconds)
    if options.out is not None:
        raise InputError("--out is for a list of instances (.csv); one verdict is printed")
    if options.network is None:
        raise InputError("verify expects --network FILE, the network in ONNX")
    name, file = _network(options.network)
    answer, took = decide(Path(options.query), file, asked, name=name, seconds=seconds)
    print(answer.verdict)
    if answer.asked is not None and answer.violation is not None:
        print(assignment(answer.asked, answer.violation.x, answer.violation.y), end="")
    _tell(answer.by, answer.notes, took)
    return 0


def _evaluators(options: Options, catalogue: Catalogue) -> Asked:
    chosen = named_evaluators(split(options.eval or "all", "--eval", empty=False), catalogue)
    names = [plugin.name for plugin in chosen]
    overrides = parse_overrides(options.set, catalogue, {"method": (), "evaluator": names})
    settings = {name: fields for (_, name), fields in overrides.items()}
    for plugin in chosen:
        plugin.build(settings.get(plugin.name, {}))
    return Asked(chosen, settings)


def _network(text: str) -> tuple[str | None, Path]:
    """Name and file of NAME=FILE, or of FILE."""
    name, equals, file = text.partition("=")
    if not equals or Path(text).exists():
        return None, Path(text)
    if not file or not name:
        raise InputError(f"--network expects FILE or NAME=FILE, got {text!r}")
    return name, Path(file)


def _tell(by: str, notes: Sequence[str], took: float) -> None:
    """What is to be said about a verdict, on stderr."""
    for note in notes:
        print(f"bench: {note}", file=sys.stderr)
    decided = f"decided by {by}" if by else "not decided"
    print(f"bench: {decided} in {took:.2f} s", file=sys.stderr)


def _list(options: Options, asked: Asked, most: float) -> int:
    """Decides the instances of a list; 0."""
    if options.network is not None:
        raise InputError("--network is for one property; a list of instances names its networks")
    if not options.out:
        raise InputError("verify instances.csv expects --out DIR, the folder for its results")
    instances = read_instances(Path(options.query))
    run_options = parse_run_options(options.but(**FIXED))
    for one in decide_list(instances, asked, run_options, most=most):
        name = f"{one.instance.network} {one.instance.query}"
        print(f"{name}: {one.result}")
        for note in one.notes:
            print(f"bench: {name}: {note}", file=sys.stderr)
    print(f"results: {options.out}/{RESULTS}", file=sys.stderr)
    return 0
