"""`verify`: properties in VNN-LIB of networks in ONNX."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.parsing import parse_seconds, split
from bench.plugins.catalogue import Catalogue
from bench.plugins.discovery import discover
from bench.plugins.settings import parse_overrides
from bench.run.verification import Verifier
from bench.store.results import Store
from bench.store.run_files import RunFiles
from relu.errors import InputError
from relu.network.property.vnnlib.assignments import assignment
from relu.network.property.vnnlib.instances import Instance, read_instances
from relu.network.property.vnnlib.results import results_text

RESULTS = "results.csv"
VNN_COMP = {"timed-out": "timeout"}  # whose results files have another word for it


def verify_command(options: argparse.Namespace) -> int:
    """Prints the verdict on a property, or judges a whole list; 0."""
    catalogue = discover([Path(file) for file in options.plugin])
    verifier = _verifier(options, catalogue)
    seconds = parse_seconds("none" if options.timeout is None else options.timeout, "--timeout")
    if Path(options.query).suffix == ".csv":
        return _list(options, verifier, seconds)
    if options.out is not None:
        raise InputError("--out is for a list of instances (.csv); one verdict is printed")
    if options.network is None:
        raise InputError("verify expects --network FILE, the network in ONNX")
    name, file = _network(options.network)
    answer, took = verifier.ask(Path(options.query), file, name=name, seconds=seconds)
    print(answer.verdict)
    if answer.asked is not None and answer.violation is not None:
        print(assignment(answer.asked, answer.violation.x, answer.violation.y), end="")
    _tell(answer.by, answer.notes, took)
    return 0


def _verifier(options: argparse.Namespace, catalogue: Catalogue) -> Verifier:
    texts = split(options.eval or "all", "--eval", empty=False)
    if [text.lower() for text in texts] == ["all"]:
        chosen = catalogue.everybody
    else:
        found = [catalogue.find("evaluator", text) for text in texts]
        chosen = list({plugin.name: plugin for plugin in found}.values())
    names = [plugin.name for plugin in chosen]
    overrides = parse_overrides(options.set, catalogue, {"method": (), "evaluator": names})
    settings = {name: fields for (_, name), fields in overrides.items()}
    for plugin in chosen:
        plugin.build(settings.get(plugin.name, {}))
    return Verifier(chosen, settings)


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


def _list(options: argparse.Namespace, verifier: Verifier, most: float) -> int:
    """Judges the instances of a list; 0."""
    if options.network is not None:
        raise InputError("--network is for one property; a list of instances names its networks")
    if not options.out:
        raise InputError("verify instances.csv expects --out DIR, the folder for its results")
    file = Path(options.query)
    instances = read_instances(file)
    category = file.resolve().parent.name
    root = Path(options.out)
    Store(root).prepare()
    files = RunFiles(root)
    rows = []
    verifier.preload()
    for instance in instances:
        result, took = _judged(instance, verifier, most, files)
        rows.append([category, instance.network, instance.query, "0", result, f"{took:.3f}"])
        files.save_text(RESULTS, results_text(rows))
        print(f"{instance.network} {instance.query}: {result}")
    print(f"results: {options.out}/{RESULTS}", file=sys.stderr)
    return 0


def _judged(
    instance: Instance, verifier: Verifier, most: float, files: RunFiles
) -> tuple[str, float]:
    """The result of an instance as VNN-COMP calls it, and its seconds."""
    try:
        answer, took = verifier.ask(
            instance.folder / instance.query,
            instance.folder / instance.network,
            seconds=min(most, instance.seconds),
        )
    except InputError as error:
        print(f"bench: {instance.network} {instance.query}: {error}", file=sys.stderr)
        return "error", 0.0
    if answer.asked is not None and answer.violation is not None:
        text = assignment(answer.asked, answer.violation.x, answer.violation.y)
        files.save_text(f"{instance.name}.counterexample", text)
    _tell(answer.by, answer.notes, took)
    return VNN_COMP.get(answer.verdict, answer.verdict), took
