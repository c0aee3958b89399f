"""`export --questions`: which inputs are asked about, and the files of a row."""

import math
import sys
from dataclasses import dataclass

import numpy as np

from bench.data.datasets import DataSet
from bench.data.onnx_file import as_taken
from bench.data.questions import question
from bench.parsing import whole_number
from bench.store.results import Store
from leaderboard.row import Row
from leaderboard.rows import correct_inputs
from relu.errors import InputError
from relu.network.layers import Shape

WHERE = "--questions"


@dataclass(frozen=True)
class Asked:
    """The first `count` of the judged inputs, or those of these numbers."""

    count: int | None
    numbers: tuple[int, ...] = ()

    def of(self, points: int) -> list[int]:
        """The numbers among so many inputs. Raises InputError for one that is none of them."""
        if self.count is not None:
            return list(range(min(self.count, points)))
        if beyond := [number for number in self.numbers if number >= points]:
            raise InputError(
                f"{WHERE} expects numbers of judged inputs, 0 to {points - 1}, got {beyond[0]}"
            )
        return list(self.numbers)


def parse_questions(text: str | None) -> Asked | None:
    """What "20", "3,17" or "3," asks for, None for nothing. Raises InputError."""
    if text is None:
        return None
    if "," not in text:
        return Asked(whole_number(text, WHERE, 1))
    numbers = [whole_number(part, WHERE, 0) for part in text.removesuffix(",").split(",")]
    return Asked(None, tuple(dict.fromkeys(numbers)))


def parse_seconds(text: str) -> str:
    """A time limit as instances.csv has it. Raises InputError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InputError(f"--timeout expects a number of seconds, got {text!r}")
    return f"{seconds:g}" if seconds < 10**6 else f"{seconds:.0f}"


def row_questions(
    store: Store, row: Row, stem: str, data: DataSet, taken: Shape, asked: Asked
) -> dict[str, bytes]:
    """File name -> question about each input that is asked for and correctly classified.

    taken: the shape of the network's inputs. What is left out is said on stderr.
    """
    subject = f"{row.label} on {row.dataset}, {row.threat}"
    if row.norm != "linf":
        _note(f"no questions about {subject}: VNN-LIB 1.0 has boxes only")
        return {}
    numbers = np.array(asked.of(row.points), dtype=np.int64)
    correct = correct_inputs(store, row)
    if correct is None:
        _note(f"no questions about {subject}: its predictions are missing")
        return {}
    kept = numbers[correct[numbers]]
    if len(kept) < len(numbers):
        _note(f"{subject}: {len(numbers) - len(kept)} misclassified inputs are left out")
    files: dict[str, bytes] = {}
    for i, x in zip(kept.tolist(), as_taken(data.x_test[kept], taken), strict=True):
        label = int(data.y_test[i])
        threat = row.threat.at(i)
        about = f"{stem}: input {i} of {row.dataset}, label {label}, {threat}; unsat: robust"
        text = question(x, label, data.classes, threat, about)
        files[f"{stem}_{i}.vnnlib"] = text.encode()
    return files


def _note(text: str) -> None:
    print(text, file=sys.stderr)
