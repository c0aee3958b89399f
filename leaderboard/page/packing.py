"""What is known of every input, as few bytes: columns of numbers, compressed."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from leaderboard.board.inputs import CERTIFIED, FOOLED
from leaderboard.page.subjects import Subject

DROPPED = 8  # of a float32's 24 bits: 16 are five digits, and the empty byte compresses to nothing
MISCLASSIFIED, CONTRADICTED = 4, 8  # added to a verdict's number
VERDICTS = {CERTIFIED: 1, FOOLED: 2}  # 0: undecided


def rounded_down(values: np.ndarray) -> np.ndarray:
    """Numbers >= 0 in float32 with 16 bits, none larger than it was."""
    near = np.asarray(values, dtype=np.float64).astype(np.float32)
    below = np.where(near > values, np.nextafter(near, np.float32(0)), near)
    return (below.view(np.uint32) >> DROPPED << DROPPED).view(np.float32)


def rounded_up(values: np.ndarray) -> np.ndarray:
    """Numbers >= 0 in float32 with 16 bits, none smaller than it was."""
    near = np.asarray(values, dtype=np.float64).astype(np.float32)
    above = np.where(near < values, np.nextafter(near, np.float32(np.inf)), near)
    bits = above.view(np.uint32)
    carried = (bits.astype(np.uint64) + (1 << DROPPED) - 1) >> DROPPED << DROPPED
    return np.where(np.isinf(above), bits, carried).astype(np.uint32).view(np.float32)


def packed(subject: Subject, evaluators: Sequence[str]) -> tuple[dict[str, Any], str]:
    """How many inputs there are and which keys they name, and their columns in base64.

    The columns one after the other, compressed: float32 low, high, seconds, eps; int32 index;
    uint16 label, predicted, low_key, high_key; uint8 low_by, high_by, decided_by, verdict. Radii
    are rounded outward. Evaluators and keys are places in their lists, the last is nobody's.
    """
    frame = subject.inputs
    keys = sorted({*frame["low_key"], *frame["high_key"]} - {""})
    columns = [
        rounded_down(frame["low"].to_numpy()),
        rounded_up(frame["high"].to_numpy()),
        rounded_up(frame["seconds"].to_numpy()),
        frame["eps"].to_numpy(dtype=np.float32),
        frame["index"].to_numpy(dtype=np.int32),
        frame["y"].to_numpy(dtype=np.uint16),
        frame["predicted"].to_numpy(dtype=np.uint16),
        _places(frame["low_key"], keys).astype(np.uint16),
        _places(frame["high_key"], keys).astype(np.uint16),
        *(_places(frame[name], evaluators).astype(np.uint8) for name in _BY),
        _verdicts(frame, subject),
    ]
    whole = gzip.compress(b"".join(column.tobytes() for column in columns), mtime=0)
    return {"count": len(frame), "keys": keys}, base64.b64encode(whole).decode()


_BY = ("low_by", "high_by", "decided_by")


def _places(names: pd.Series, known: Sequence[str]) -> np.ndarray:
    """Of each name its place in the list; of "" the place after the last."""
    place: Mapping[str, int] = {name: i for i, name in enumerate(known)}
    places: np.ndarray = np.array([place.get(name, len(known)) for name in names])
    return places


def _verdicts(frame: pd.DataFrame, subject: Subject) -> np.ndarray:
    numbers = frame["verdict"].map(lambda word: VERDICTS.get(word, 0)).to_numpy()
    wrong = ~frame["correct"].to_numpy(dtype=bool)
    conflict = frame["index"].isin(subject.contradicted).to_numpy()
    verdicts: np.ndarray = numbers + MISCLASSIFIED * wrong + CONTRADICTED * conflict
    return verdicts.astype(np.uint8)


def script_json(value: Any) -> Markup:
    """JSON that may stand in a script element, whatever texts are in it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for sign, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(sign, escaped)
    return Markup(text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
