"""`show`: all that is known of one test input of a network, and its pictures."""

import json
import math
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from bench.face.options import Options
from bench.face.reading import row_data
from bench.face.recomputing import command_of
from bench.parsing import parse_eps, parse_norm, whole_number
from bench.store.results import Store
from bench.store.run_files import replace_all
from leaderboard.board.board import SUBJECT, Board
from leaderboard.board.inputs import CLEAN
from leaderboard.board.pictures import triptych
from leaderboard.row import Row
from relu.errors import InputError
from relu.threat import format_eps

FOLDER = "inputs"  # inside the run folder
COLUMNS = 80


def show_command(options: Options) -> int:
    """Prints interval, evidence, settings, and the command that computes it anew; 0."""
    data = row_data(options)
    board = Board([Store(Path(run)) for run in options.runs], data)
    where = _where(options)
    index = whole_number(options.input, "--input", 0)
    row = board.row(options.method, **where)
    where = {"network": row.network, "norm": row.norm, "eps": row.printed_eps, "box": row.box}
    said = _said(board, row, index, where) | {"command": command_of(row, data.catalogue)}
    print(json.dumps(said, indent=1) if options.json else _text(row, said))
    _save(board, row, index, where, Path(options.out or Path(options.runs[0]) / FOLDER))
    return 0


def _where(options: Options) -> dict[str, Any]:
    """What chooses the network, typed. Raises InputError."""
    read: Mapping[str, Callable[[str], Any]] = {
        "dataset": str,
        "arch": str,
        "norm": parse_norm,
        "eps": parse_eps,
        "seed": lambda text: whole_number(text, "--seed", 0),
    }
    said = {name: options.get(name) for name in read}
    return {name: read[name](text) for name, text in said.items() if text is not None}


def _said(board: Board, row: Row, index: int, where: Mapping[str, Any]) -> dict[str, Any]:
    """All that is known of the input, as plain JSON; infinite radii are null."""
    about = pd.DataFrame([board.line(None, index, **where)])
    line = json.loads(about.to_json(orient="records"))[0]
    evidence = board.evidence(None, index, **where)
    return {
        "input": row.columns(SUBJECT) | line,
        "evidence": json.loads(evidence.to_json(orient="records")),
        "settings": dict(row.settings),
        "provenance": board.provenance(None, **where),
    }


def _text(row: Row, said: Mapping[str, Any]) -> str:
    line = said["input"]
    seed = "" if row.seed is None else f", seed {row.seed}"
    head = (
        f"{row.label} on {row.dataset} ({row.arch}, {row.norm} {format_eps(row.eps)}{seed}), "
        f"test input {line['index']}"
    )
    wrong = line["high_by"] == CLEAN
    by = f", by {line['decided_by']}" if line["decided_by"] and not wrong else ""
    return "\n".join(
        [
            head,
            f"label {line['y']}, predicted {line['predicted']}: {line['verdict']}{by}",
            *_bounds(line),
            "",
            _table(said["evidence"]),
            "",
            f"network    networks/{line['network']}",
            *(f"{name:<10} {value}" for name, value in _made(said["provenance"]).items()),
            _settings(said["settings"]),
            "",
            "computed anew by",
            f"    {said['command']}",
        ]
    )


def _settings(settings: Mapping[str, Any]) -> str:
    words = ", ".join(f"{name}={value}" for name, value in settings.items())
    indent = " " * 11
    head = "settings   "
    return textwrap.fill(words, COLUMNS, initial_indent=head, subsequent_indent=indent)


def _bounds(line: Mapping[str, Any]) -> list[str]:
    """Both bounds of the radius, and whose evidence they are."""
    if line["high_by"] == CLEAN:
        return ["radius 0: it is misclassified as it is"]
    low = "inf" if line["low"] is None else f"{line['low']:.6g}"
    lower = f"radius >= {low}"
    lower += f" ({line['low_by']}, evidence/{line['low_key']})" if line["low_by"] else ""
    if line["high"] is None:
        return [lower, "no adversarial input is known"]
    return [lower, f"radius <= {line['high']:.6g} ({line['high_by']}, evidence/{line['high_key']})"]


def _table(evidence: list[dict[str, Any]]) -> str:
    """Who said what."""
    rows = [
        [e["evaluator"], _radius(e["low"]), _radius(e["high"]), f"{e['seconds']:.4f}", e["outcome"]]
        for e in evidence
    ]
    headers = ["evaluator", "low", "high", "s", "outcome"]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def _radius(value: float | None) -> str:
    return "inf" if value is None or math.isinf(value) else f"{value:.6g}"


def _made(provenance: Mapping[str, Any]) -> dict[str, str]:
    versions = provenance.get("versions", {})
    said = {
        "commit": provenance.get("commit"),
        "bench": provenance.get("bench"),
        "torch": versions.get("torch"),
        "device": provenance.get("device"),
    }
    return {name: str(value) for name, value in said.items() if value}


def _save(board: Board, row: Row, index: int, where: Mapping[str, Any], folder: Path) -> None:
    """The input, its nearest adversarial input and the difference, where they are images."""
    try:
        witness = board.witness(None, index, **where)
        picture = triptych(board.image(None, index, **where), witness)
    except InputError as error:
        print(f"no picture: {error}", file=sys.stderr)
        return
    name = f"{row.method}-{row.dataset}-{row.norm}-{row.network[:6]}-{index}.png"
    replace_all(folder, {name: picture})
    parts = "the input alone" if witness is None else "input, adversarial input, difference"
    print(f"{parts}: {folder / name}", file=sys.stderr)
