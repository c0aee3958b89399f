"""How an attempt at a job ended, by name."""

import errno
import traceback
from dataclasses import dataclass
from typing import Literal

from relu.batching import is_out_of_memory
from relu.errors import InputError

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)  # no job can go on

Status = Literal["done", "stored", "failed", "skipped", "elsewhere"]
Cause = Literal[
    "",
    "raised",
    "diverged",
    "bad result",
    "bad input",
    "out of memory",
    "timeout",
    "killed",
    "disk",
]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an attempt at a job, or the job, ended.

    status: done now; stored by an earlier run or by one beside this; failed; skipped, as a job
    that it needs failed; elsewhere: a run beside this one is at it. cause: what made it fail.
    message: one line; details: a traceback; text: the last progress; seconds: wall time; errno: of
    a full or read-only disk; fault: the type of what was raised and the place, which tells one
    fault from another whatever its message says.
    """

    status: Status
    cause: Cause = ""
    message: str = ""
    details: str = ""
    text: str = ""
    seconds: float = 0.0
    errno: int = 0
    fault: str = ""


def failure(error: BaseException, *, root: str = "", **known: object) -> Outcome:
    """The outcome of an attempt that raised `error`; `known` are further fields.

    A full disk elsewhere than in the run folder `root` is the job's own affair.
    """
    cause = cause_of(error)
    details = "".join(traceback.format_exception(error))
    if cause == "disk" and not str(getattr(error, "filename", None) or root).startswith(root):
        cause = "raised"
    number = error.errno or 0 if isinstance(error, OSError) else 0
    fields = {
        "status": "failed",
        "cause": cause,
        "message": _line(error, cause),
        "fault": _fault(error),
    }
    return Outcome(**{**fields, "details": details, "errno": number, **known})  # type: ignore[arg-type]


def _fault(error: BaseException) -> str:
    """The error's type and the line that raised it."""
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    frames = [*traceback.walk_tb(error.__traceback__)]
    if not frames:
        return name
    frame, line = frames[-1]
    return f"{name} {frame.f_code.co_filename}:{line}"


def timed_out(timeout: float) -> Outcome:
    """The outcome of a job that was still running after `timeout` seconds."""
    message = (
        f"timeout: not finished after {timeout:g} s; its log (logs/*.timeout) says where it was"
    )
    return Outcome(status="failed", cause="timeout", message=message)


def killed(how: str) -> Outcome:
    """The outcome of a job whose worker process died; how: a few words for people."""
    message = f"killed: its worker died ({how}), by hand or for want of memory"
    return Outcome(status="failed", cause="killed", message=message)


def cause_of(error: BaseException) -> Cause:
    """The name of what went wrong; errors of ours may name it as their `cause`."""
    if isinstance(error, OSError) and error.errno in DISK:
        return "disk"
    if is_out_of_memory(error):
        return "out of memory"
    if isinstance(error, InputError):
        return "bad input"
    named: Cause = getattr(type(error), "cause", "raised")
    return named


def _line(error: BaseException, cause: Cause) -> str:
    text = (str(error).strip().splitlines() or [""])[0]
    if cause == "disk" and isinstance(error, OSError):
        return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    if cause == "out of memory":
        return f"out of memory: {text}"
    plain = type(error).__module__.startswith(("bench.", "relu."))  # our own messages say it all
    return text if plain and text else f"{type(error).__name__}: {text}"
