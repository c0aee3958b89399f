"""What a search about a ball, or about a radius, ends with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from evaluators.interface import Status

UNDECIDED = "undecided, as a margin is 0 within tolerances"

Answered = Literal["certified", "witness", "timeout", "open", "failed"]
ENDS: Mapping[Answered, tuple[str, Status]] = {
    "certified": ("done: certified", "done"),
    "witness": ("done: adversarial", "done"),
    "timeout": ("timeout", "timeout"),
    "open": (UNDECIDED, "undecided"),
    "failed": ("solver error", "failed"),
}
"""what the end of a search is called, for people and for programs"""


@dataclass(frozen=True)
class Reply:
    """What was found out about a ball. "open": a margin is 0 within tolerances; "failed": note."""

    status: Answered
    point: Tensor | None = None
    note: str = ""


@dataclass(frozen=True)
class Found:
    """What is proven of one input: none as near as low, an adversarial input at `point`."""

    low: float
    point: Tensor | None
    outcome: str
    status: Status


def said(status: str, note: str) -> str:
    """An outcome with what is to be said about it."""
    return f"{status}: {note}" if note else status
