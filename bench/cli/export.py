"""`export`: the networks of a run as files for others, and what is asked of them."""

import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cli.exported_questions import Asked, parse_questions, parse_seconds, row_questions
from bench.data.datasets import DataSet
from bench.data.onnx_file import ONNX
from bench.face.cell_filter import keep_rows
from bench.face.options import Options
from bench.face.reading import row_data
from bench.plugins.catalogue import Catalogue
from bench.store.results import Store
from bench.store.run_files import save_all
from leaderboard.model_card import NetworkFile, model_card
from leaderboard.row import Row
from leaderboard.rows import read_rows
from relu.errors import InputError
from relu.network.layers import Shape
from relu.network.onnx import read_onnx
from relu.network.onnx.writer import INPUT, OUTPUT, write_onnx

IMAGES = 16  # at which a file that is written is compared with its network
LONGEST = 40  # characters of each part of a file's name
KEY = 8  # characters of a network's key in it


def export_command(options: Options) -> int:
    """Writes ONNX files, model cards and questions of a run's networks; 0."""
    if not options.out:
        raise InputError("--out expects a value, got ''")
    asked = parse_questions(options.questions)
    seconds = parse_seconds(options.timeout)
    kept = keep_rows(read_rows([Path(options.run)]), options.only)
    by_network = _by_network(kept)
    if not by_network:
        raise InputError(f"{options.run!r} has no network that is finished: nothing to export")
    exporter = _Exporter(options, asked)
    files: dict[str, bytes] = {}
    for rows in by_network.values():
        files |= exporter.files(rows)
    if exporter.instances:
        lines = "".join(f"{network},{query},{seconds}\n" for network, query in exporter.instances)
        files["instances.csv"] = lines.encode()
    save_all(Path(options.out), files)
    count = len(by_network)
    print(f"{count} network{'s' * (count > 1)} in {options.out}", file=sys.stderr)
    return 0


def _by_network(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each network that is there; of others it is said that they are not."""
    by_network: dict[str, list[Row]] = {}
    for row in rows:
        if row.weights is None:
            print(f"left out: {row.label} on {row.dataset} is not trained", file=sys.stderr)
        else:
            by_network.setdefault(row.network, []).append(row)
    return by_network


def file_name(row: Row) -> str:
    """What the files of a row's network are called: readable, safe everywhere, unique in a run."""
    seed = [] if row.seed is None else [f"seed{row.seed}"]
    parts = [row.dataset, row.arch, row.method, *seed, row.network[:KEY]]
    return "_".join(_safe(part) for part in parts)


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text).strip("._-")[:LONGEST] or "x"


@dataclass(frozen=True)
class _Written:
    """A network as a file: what its input and output are called in it, the shape of one input."""

    content: bytes
    input: str
    output: str
    shape: Shape


class _Exporter:
    """Makes the files of networks, and notes which questions instances.csv lists."""

    def __init__(self, options: Options, asked: Asked | None) -> None:
        self.store = Store(Path(options.run))
        self.data = row_data(options)
        self.catalogue = self.data.catalogue
        self.asked = asked
        self.names: set[str] = set()
        self.instances: list[tuple[str, str]] = []

    def files(self, rows: Sequence[Row]) -> dict[str, bytes]:
        """File name -> content, of one network; rows: all that are about it."""
        name = file_name(rows[0])
        if name in self.names:  # keys that begin alike
            name = f"{name}_{rows[0].network}"
        self.names.add(name)
        data = self.data.of(rows[0])
        try:
            written = _written(self.store, rows[0].network, self.catalogue, data)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        file = NetworkFile(
            name=name,
            sha256=hashlib.sha256(written.content).hexdigest(),
            input=written.input,
            shape=written.shape,
            output=written.output,
            classes=data.classes,
            provenance=self.store.settings("networks", rows[0].network)["provenance"],
        )
        card = model_card(file, rows)
        files = {f"{name}.onnx": written.content, f"{name}.md": card.encode()}
        return files | self._questions(name, rows, data, written)

    def _questions(
        self, name: str, rows: Sequence[Row], data: DataSet, written: _Written
    ) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        if self.asked is None:
            return files
        several = len({str(row.threat) for row in rows if row.norm == "linf"}) > 1
        for row in rows:
            stem = f"{name}_{_safe(str(row.threat))}" if several else name
            files |= row_questions(self.store, row, stem, data, written.shape, self.asked)
        self.instances += [(f"{name}.onnx", query) for query in files]
        return files


def _written(store: Store, key: str, catalogue: Catalogue, data: DataSet) -> _Written:
    """The very file that a network is from, if it is from an ONNX file; else one of its weights."""
    said = store.settings("networks", key)["settings"]
    if said["arch"] == ONNX:
        content = store.load_graph(key)
        net = read_onnx(content)
        return _Written(content, net.inputs[0], net.outputs[0], net.shape)
    architecture = catalogue.architecture_of(
        said["arch"],
        code=said.get("arch_code", ""),
        mean=said.get("mean", ()),
        std=said.get("std", ()),
    )
    own = architecture.build(tuple(said["shape"]), said["classes"])
    own.load_state_dict(store.load_network(key))
    return _Written(write_onnx(own, data.x_test[:IMAGES]), INPUT, OUTPUT, data.shape)
