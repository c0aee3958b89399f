"""Results files as VNN-COMP has them: a row for each instance, counterexamples in files beside."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relu.errors import InputError
from relu.network.property.vnnlib.instances import stem

COLUMNS = ("category", "network", "property", "prepare_time", "result", "run_time")
"""of a results file, which has no header line"""
WORDS = {"holds": "unsat", "violated": "sat", "timed-out": "timeout"}
"""other words for results -> VNN-COMP's of today"""


@dataclass(frozen=True)
class Result:
    """What a tool said of an instance, in lower case, and its seconds; 0 where it does not say."""

    category: str
    network: str
    query: str
    verdict: str
    seconds: float

    def counterexamples(self, folder: Path) -> list[Path]:
        """Where an input that goes with "sat" may be found, beside a results file in the folder."""
        name = f"{stem(self.network)}_{stem(self.query)}.counterexample"
        places = (folder / name, folder / self.category / name)
        return [file for place in places for file in (place, place.with_name(f"{name}.gz"))]


def results_text(rows: Sequence[Sequence[str]]) -> str:
    """Rows of COLUMNS as a results file has them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def read_results(text: str, name: str) -> list[Result]:
    """The rows of a results file; name: for messages. Raises InputError, one line."""
    rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    if not rows:
        raise InputError(f"{name} has no results: rows of {', '.join(COLUMNS)}")
    return [_result(row, name) for row in rows]


def _result(row: Sequence[str], name: str) -> Result:
    if len(row) < len(COLUMNS):
        raise InputError(f"{name} expects rows of {', '.join(COLUMNS)}, got {','.join(row)[:80]!r}")
    category, network, query, _, verdict, seconds = (cell.strip() for cell in row[:6])
    verdict = verdict.lower()
    return Result(category, network, query, WORDS.get(verdict, verdict), _number(seconds))


def _number(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < math.inf else 0.0
