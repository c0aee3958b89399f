"""Attempts at a job as typed records: what retries are decided on, whatever a plugin may print.

A line of JSON says that an attempt begins, another how it ended. Where the second is missing the
process was lost: to its time limit if the trace, a file of faulthandler's own, has grown since;
else by a death. Faulthandler writes without the interpreter, which may be stuck in foreign code.
"""

import json
import os
import socket
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from bench.store.outcome import Cause, Outcome, Status


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Who began an attempt, and when.

    run: a name that tells this run's attempts from others'. time: seconds since the epoch.
    traced: bytes of the job's trace at that time.
    """

    run: str
    traced: int
    attempt: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    host: str = field(default_factory=socket.gethostname)
    process: int = field(default_factory=os.getpid)
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an attempt ended that could still say so; seconds: wall time."""

    attempt: str
    status: Status
    cause: Cause
    message: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class AttemptRecord:
    """What is known of an attempt. late: its process was ended as its time was up."""

    beginning: Beginning
    ending: Ending | None
    late: bool

    @property
    def died(self) -> bool:
        """Whether its process was lost for another reason than its time limit."""
        return self.ending is None and not self.late


def make_ending(beginning: Beginning, outcome: Outcome) -> Ending:
    """The record of an outcome."""
    return Ending(
        attempt=beginning.attempt,
        status=outcome.status,
        cause=outcome.cause,
        message=outcome.message,
        seconds=outcome.seconds,
    )


def to_line(record: Beginning | Ending) -> str:
    """A record as a line of JSON."""
    name = "begin" if isinstance(record, Beginning) else "end"
    return json.dumps({name: asdict(record)}) + "\n"


def read_attempts(lines: Iterable[str], traced: int) -> list[AttemptRecord]:
    """The attempts that lines tell of, in order; lines that a kill has torn tell of none.

    traced: bytes of the job's trace now.
    """
    beginnings: list[Beginning] = []
    endings: dict[str, Ending] = {}
    for record in map(_parsed, lines):
        if isinstance(record, Beginning):
            beginnings.append(record)
        elif isinstance(record, Ending):
            endings[record.attempt] = record
    sizes = [*(beginning.traced for beginning in beginnings), traced]
    grown = [after > before for before, after in pairwise(sizes)]
    return [
        AttemptRecord(
            beginning=beginning,
            ending=(ending := endings.get(beginning.attempt)),
            late=late and ending is None,
        )
        for beginning, late in zip(beginnings, grown, strict=True)
    ]


def _parsed(line: str) -> Beginning | Ending | None:
    try:
        said: dict[str, Any] = json.loads(line)
        return Beginning(**said["begin"]) if "begin" in said else Ending(**said["end"])
    except (ValueError, TypeError, KeyError):
        return None


def deaths(attempts: Sequence[AttemptRecord]) -> int:
    """How many attempts have lost their process, but for those whose time was up."""
    return sum(attempt.died for attempt in attempts)


def timeouts(attempts: Sequence[AttemptRecord]) -> int:
    """How many attempts were ended as their time was up."""
    return sum(attempt.late for attempt in attempts)
