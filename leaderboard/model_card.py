"""A page about one network: what it is, what is proven of it, how to judge it again."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tabulate import tabulate

from leaderboard.attribution import COUNTS
from leaderboard.row import Row
from leaderboard.seed_groups import DASH, plain
from relu.network.layers import Shape
from relu.threat import format_box, format_eps

USUAL_BOX = "0.0,1.0"


@dataclass(frozen=True, kw_only=True)
class NetworkFile:
    """An ONNX file of a network. input, output: what they are called; shape: of one input.

    provenance: where and with what the network was made.
    """

    name: str
    sha256: str
    input: str
    shape: Shape
    output: str
    classes: int
    provenance: Mapping[str, Any]


def model_card(file: NetworkFile, rows: Sequence[Row]) -> str:
    """The page, in markdown; rows: all of this network, one for each threat."""
    first = rows[0]
    about = "".join(f"| {plain(what)} | {plain(text)} |\n" for what, text in _facts(file, first))
    parts = [_judged(file, row) for row in rows]
    return f"# {file.name}\n\n| | |\n| --- | --- |\n{about}\n{''.join(parts)}"


def _facts(file: NetworkFile, row: Row) -> Iterator[tuple[str, str]]:
    sides = " x ".join(map(str, file.shape))
    yield "data set", row.dataset
    yield "architecture", row.arch
    yield "method", row.label if row.label == row.method else f"{row.label} ({row.method})"
    yield "seed", DASH if row.seed is None else str(row.seed)
    yield "settings", _listed(row, judging=False)
    yield "made with", _versions(file.provenance)
    yield "weights", "float32"
    yield "file", f"{file.name}.onnx"
    yield "sha256", file.sha256
    yield "input", f"{file.input}: n x {sides}, pixels in [0, 1]"
    yield "output", f"{file.output}: n x {file.classes} logits, the largest is the class"


def _listed(row: Row, *, judging: bool) -> str:
    """Settings of the evaluators, or all others."""
    said = {
        name: value
        for name, value in row.settings.items()
        if (name.partition(".")[0] in row.evaluator_labels and "." in name) == judging
    }
    return ", ".join(f"{name}={said[name]}" for name in sorted(said)) or DASH


def _versions(provenance: Mapping[str, Any]) -> str:
    torch = provenance.get("versions", {}).get("torch")
    parts = {
        "relu-bench": provenance.get("bench"),
        "commit": provenance.get("commit"),
        "torch": torch,
        "Python": provenance.get("python"),
    }
    return ", ".join(f"{what} {said}" for what, said in parts.items() if said) or DASH


def _judged(file: NetworkFile, row: Row) -> str:
    """What is proven of it under one threat."""
    numbers = "".join(f"| {what} | {text} |\n" for what, text in _numbers(row))
    troubles = "".join(f"- {plain(text)}\n" for text in _troubles(row))
    parts = [
        f"## {row.threat}\n",
        f"| | |\n| --- | --- |\n{numbers}",
        _deciders(row),
        *([troubles] if troubles else []),
        f"Settings of the evaluators: {_listed(row, judging=True)}\n",
        f"To judge it again:\n\n```sh\n{_command(file, row)}\n```\n",
    ]
    return "\n".join(parts) + "\n"


def _deciders(row: Row) -> str:
    """Which evaluator decided how many inputs."""
    lines = [
        [plain(row.evaluator_labels[name]), *(str(getattr(part, key)) for key in COUNTS)]
        for name, part in row.contributions.items()
    ]
    if not lines:
        return "Nobody has judged it.\n"
    headers = ["decided by", *COUNTS.values()]
    align = ["left", *["right"] * len(COUNTS)]
    return f"{tabulate(lines, headers, 'pipe', colalign=align, disable_numparse=True)}\n"


def _troubles(row: Row) -> Iterator[str]:
    """Who could not judge it, and what contradicts what."""
    for name, why in {**row.refusals, **row.failures}.items():
        yield f"{row.evaluator_labels.get(name, name)}: {why}"
    for text in row.contradictions:
        yield f"CONTRADICTION: {text}"


def _numbers(row: Row) -> Iterator[tuple[str, str]]:
    inputs = row.settings.get("inputs")
    which = f"{row.points} inputs of {inputs}" if inputs else f"the first {row.points} test inputs"
    yield "judged on", plain(which)
    yield "test error", _percent(row.test_error)
    yield "robust error", f"{_percent(row.robust_error_low)} to {_percent(row.robust_error_high)}"
    yield "undecided", _percent(row.undecided)
    yield "mean radius", f"{_radius(row.radius_low)} to {_radius(row.radius_high)}"
    yield "radius known", _percent(row.exact_share)


def _percent(share: float | None) -> str:
    return DASH if share is None else f"{100 * share:.2f} %"


def _radius(radius: float | None) -> str:
    return DASH if radius is None else f"{radius:.6g}"


def _command(file: NetworkFile, row: Row) -> str:
    evaluators = [name for name in row.evaluator_labels if name not in row.refusals]
    words = ["python", "-m", "bench", "eval", f"{file.name}.onnx", "--dataset", row.dataset]
    words += ["--norm", row.norm]
    words += [] if isinstance(row.eps, tuple) else ["--eps", format_eps(row.eps)]
    words += ["--points", str(row.points)]
    words += [] if row.box == USUAL_BOX else [f"--box={format_box(row.threat.box)}"]
    words += ["--eval", ",".join(evaluators)] if evaluators else []
    words += ["--inputs", str(row.settings["inputs"])] if "inputs" in row.settings else []
    return shlex.join(words)
