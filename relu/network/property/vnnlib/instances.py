"""Lists of verification problems as VNN-COMP has them: rows of network, property, seconds."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relu.errors import InputError


@dataclass(frozen=True)
class Instance:
    """A row: network and property (query) as it names them, the limit, and the list's folder."""

    network: str
    query: str
    seconds: float
    folder: Path

    @property
    def name(self) -> str:
        """What the files about it are called."""
        return f"{stem(self.network)}_{stem(self.query)}"


def read_instances(path: Path) -> list[Instance]:
    """The rows of a list, with or without a header line; further columns do not count.

    Raises InputError, one line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}") from error
    rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    if rows and _seconds(rows[0]) is None and len(rows[0]) >= 3:
        rows = rows[1:]
    if not rows:
        raise InputError(f"{str(path)!r} lists nothing: rows of network, property, seconds")
    return [_instance(row, path) for row in rows]


def stem(name: str) -> str:
    """What a file's name begins with, without .gz and one ending more."""
    return Path(name.removesuffix(".gz")).stem


def _instance(row: Sequence[str], path: Path) -> Instance:
    seconds = _seconds(row)
    if seconds is None:
        raise InputError(
            f"{path.name} expects rows of network, property, seconds, got {','.join(row)[:80]!r}"
        )
    return Instance(row[0].strip(), row[1].strip(), seconds, path.parent)


def _seconds(row: Sequence[str]) -> float | None:
    try:
        seconds = float(row[2])
    except (IndexError, ValueError):
        return None
    return seconds if 0 < seconds < math.inf else None
