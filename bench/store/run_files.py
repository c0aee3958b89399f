"""What a run keeps beside its results: who is at which job, logs, progress, its record, speeds.

    run.json           the cells of the latest command on this folder, and which jobs failed
    tune.json          the same of the latest search for settings, and what it chose
    front.json         the same of the latest search of fronts
    logs/KEY.log       what each attempt at a job printed, and tracebacks: for people
    logs/KEY.jsonl     when each attempt began and how it ended (bench/store/attempts.py)
    logs/KEY.timeout   where attempts were when their time was up
    status/*.json      how the runs on this folder stand, a file for each (`bench status`)
    drafts/KEY.lock    held by the worker that is at the job
    drafts/KEY.progress  how far it is

The workers of a run share this folder, on one machine or many: results are large, stay when the
process that asked for them dies, and need no copy to be found by the next run.
"""

import contextlib
import fcntl
import json
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from bench.store.attempts import AttemptRecord, Beginning, make_ending, read_attempts, to_line
from bench.store.outcome import Outcome
from bench.store.results import require_folder
from bench.store.run_record import CellRecord, RunRecord
from relu.errors import InputError

RUN = "run.json"
TUNE = "tune.json"
FRONT = "front.json"


class RunFiles:
    """The files of a run folder that are not results."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def require_locks(self) -> None:
        """Raises InputError where the file system has no locks that end with their process."""
        try:
            with tempfile.TemporaryFile(dir=self.root / "drafts") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                f"the file system of {str(self.root)!r} has no locks (flock: {error.strerror}), "
                "without which two workers may do the same job: choose another --out"
            ) from error

    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Whether this process may do the job; nobody else may while the block lasts.

        The system drops the lock of a process that dies.
        """
        lock = FileLock(self._draft(key, "lock"), thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            self._draft(key, "lock").unlink(missing_ok=True)  # before the release: see filelock
            lock.release()

    @contextlib.contextmanager
    def log(self, key: str) -> Iterator[TextIO]:
        """The job's log, to be written on as it happens."""
        with self._logs(key, "log").open(
            "a", encoding="utf-8", buffering=1, errors="replace"
        ) as file:
            yield file

    @contextlib.contextmanager
    def trace(self, key: str) -> Iterator[TextIO]:
        """The file on which faulthandler alone writes, once the time of the attempt is up."""
        path = self._logs(key, "timeout")
        try:
            with path.open("a", encoding="utf-8") as file:
                yield file
        finally:
            if _size(path) == 0:
                path.unlink(missing_ok=True)

    def begin_attempt(self, key: str, run: str) -> Beginning:
        """Notes that this process, which has the job's claim, begins an attempt."""
        beginning = Beginning(run=run, traced=_size(self._logs(key, "timeout")))
        self._append(key, to_line(beginning))
        return beginning

    def end_attempt(self, key: str, beginning: Beginning, outcome: Outcome) -> None:
        """Notes how an attempt ended."""
        self._append(key, to_line(make_ending(beginning, outcome)))

    def attempts(self, key: str, run: str) -> list[AttemptRecord]:
        """A run's attempts at the job, in order."""
        try:
            text = self._logs(key, "jsonl").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        attempts = read_attempts(text.splitlines(), _size(self._logs(key, "timeout")))
        return [attempt for attempt in attempts if attempt.beginning.run == run]

    def _append(self, key: str, line: str) -> None:
        """Adds a line in one write, and begins a new one where a kill has torn the last."""
        with self._logs(key, "jsonl").open("a+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            torn = file.read() not in (b"", b"\n")
            file.write(("\n" * torn + line).encode())

    def _logs(self, key: str, suffix: str) -> Path:
        folder = self.root / "logs"
        folder.mkdir(exist_ok=True)
        return folder / f"{key}.{suffix}"

    def at_work(self) -> set[str]:
        """Keys of the jobs that somebody is at, or died at."""
        return {path.stem for path in (self.root / "drafts").glob("*.lock")}

    def save_progress(self, key: str, text: str) -> None:
        """Notes how far a job is; "" when it has ended."""
        path = self._draft(key, "progress")
        if text:
            self._replace(path, text)
        else:
            path.unlink(missing_ok=True)

    def progress(self, key: str) -> str:
        """How far a job is, "" where it has not said."""
        try:
            return self._draft(key, "progress").read_text(encoding="utf-8")
        except OSError:
            return ""

    def save_status(self, record: Mapping[str, Any]) -> None:
        """Notes how this process's run stands."""
        (self.root / "status").mkdir(exist_ok=True)
        name = f"{socket.gethostname()}-{os.getpid()}.json"
        self._replace(self.root / "status" / name, json.dumps(dict(record)))

    def statuses(self) -> list[dict[str, Any]]:
        """How the runs on this folder stand, the oldest first."""
        records = []
        for path in (self.root / "status").glob("*.json"):
            with contextlib.suppress(OSError, ValueError):
                records.append(dict(json.loads(path.read_text(encoding="utf-8"))))
        return sorted(records, key=lambda record: float(record.get("started", 0)))

    def forget_statuses(self, *, before: float) -> None:
        """Removes the status of runs that were last heard of before a time."""
        for path in (self.root / "status").glob("*.json"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def save_run(self, record: Mapping[str, Any], name: str = RUN) -> None:
        """Records what the latest command on this folder asked for, and which jobs failed."""
        text = json.dumps(record, indent=1, allow_nan=False) + "\n"
        self._replace(self.root / name, text)

    def save_text(self, name: str, text: str) -> None:
        """Replaces a file in the run folder in one step; without a text there is none."""
        if text:
            self._replace(self.root / name, text)
        else:
            (self.root / name).unlink(missing_ok=True)

    def _draft(self, key: str, suffix: str) -> Path:
        return self.root / "drafts" / f"{key}.{suffix}"

    def _replace(self, path: Path, text: str) -> None:
        draft = self.root / "drafts" / f"{path.name}.{socket.gethostname()}.{os.getpid()}"
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)


def _size(path: Path) -> int:
    """Bytes of a file as its last writer left it, 0 where there is none."""
    try:
        with path.open("rb") as file:  # a network file system looks anew when a file is opened
            return file.seek(0, os.SEEK_END)
    except OSError:
        return 0


def read_run(root: Path, name: str = RUN) -> RunRecord:
    """The record of the run that a folder holds. Raises InputError where there is none."""
    try:
        return RunRecord.from_json(json.loads((root / name).read_text(encoding="utf-8")))
    except InputError as error:
        raise InputError(f"{str(root / name)!r}: {error}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{str(root)!r} is no run folder: {name} is missing or torn") from error


def read_cells(root: Path) -> list[CellRecord]:
    """The cells of all records in a folder. Raises InputError where there is none."""
    names = [name for name in (RUN, TUNE, FRONT) if (root / name).is_file()] or [RUN]
    return [cell for name in names for cell in read_run(root, name).cells]


def save_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """As `replace_all`; raises InputError where one of them is there already with other content."""
    require_folder(folder)
    for name, content in files.items():
        path = folder / name
        if path.exists() and not (path.is_file() and path.read_bytes() == content):
            raise InputError(f"{str(folder)!r} holds another {name}: name another folder")
    replace_all(folder, files)


def replace_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes files into a folder, made where there is none: all, each in one step, or none.

    Those that are there already are replaced.
    """
    require_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="draft-") as draft:
        drafts = {name: Path(draft) / name for name in files}
        for name, path in drafts.items():
            path.write_bytes(files[name])
        for name, path in drafts.items():
            path.replace(folder / name)


def save_page(file: Path, text: str) -> None:
    """Writes an HTML page in one step, in the place of an earlier one.

    Raises InputError where something else is there, or no folder to write into.
    """
    if not file.parent.is_dir():
        raise InputError(f"cannot write {str(file)!r}: there is no folder {str(file.parent)!r}")
    if file.exists() and not (file.is_file() and file.read_bytes()[:15] == text.encode()[:15]):
        raise InputError(f"{str(file)!r} is there and is no page: name another file")
    draft = file.with_name(f".{file.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def _speeds() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "relu-bench" / "speeds.json"


def read_speeds() -> dict[str, tuple[float, float]]:
    """What earlier runs of this user measured (bench/scheduling/speeds.py); nothing at first."""
    try:
        known = json.loads(_speeds().read_text(encoding="utf-8"))
        return {str(k): (float(s), float(n)) for k, (s, n) in known.items() if n > 0}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def save_speeds(known: Mapping[str, tuple[float, float]]) -> None:
    """Keeps what was measured for later runs; without a word where that cannot be written."""
    path = _speeds()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(read_speeds() | dict(known)), encoding="utf-8")
        draft.replace(path)
