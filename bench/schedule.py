"""Runs a graph of jobs, here and now, one after the other."""

import errno
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.job import Job

FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)  # the disk: no job can go on

Status = Literal["done", "stored", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended: done now, stored by an earlier run, failed, or skipped after a failure."""

    status: Status
    message: str = ""
    details: str = ""
    seconds: float = 0.0


def run(
    jobs: Sequence[Job],
    execute: Callable[[Job], None],
    *,
    stored: Callable[[Job], bool],
    report: Callable[[Job, Outcome], None],
) -> Mapping[str, Outcome]:
    """Executes every job that is not stored, each after those it depends on; outcomes by key.

    A job that raises fails itself and those that cannot do without it, nothing else. A full or
    read-only disk and Ctrl-C end the run; what was finished stays stored.
    """
    outcomes: dict[str, Outcome] = {}
    for job in jobs:
        outcomes[job.key] = _outcome(job, execute, stored, outcomes)
        report(job, outcomes[job.key])
    return outcomes


def _outcome(
    job: Job,
    execute: Callable[[Job], None],
    stored: Callable[[Job], bool],
    outcomes: Mapping[str, Outcome],
) -> Outcome:
    if stored(job):
        return Outcome(status="stored")
    broken = [outcomes[key] for key in job.after if outcomes[key].status in ("failed", "skipped")]
    if broken:
        return Outcome(status="skipped", message=broken[0].message)
    started = time.perf_counter()
    try:
        execute(job)
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and error.errno in FATAL:
            raise
        seconds = time.perf_counter() - started
        details = traceback.format_exc()
        return Outcome(status="failed", message=_one_line(error), details=details, seconds=seconds)
    return Outcome(status="done", seconds=time.perf_counter() - started)


def _one_line(error: BaseException) -> str:
    text = (str(error).strip().splitlines() or [""])[0]
    plain = type(error).__module__.startswith(("bench.", "relu."))  # our own messages say it all
    return text if plain and text else f"{type(error).__name__}: {text}"
