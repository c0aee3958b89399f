"""Records of attempts: torn, late, or without an end; and no word of a plugin counts."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.store.attempts import Beginning, deaths, make_ending, read_attempts, timeouts, to_line
from bench.store.outcome import Outcome
from bench.store.results import Store
from bench.store.run_files import RunFiles
from tests.bench.example_plugins import evaluator

DONE = Outcome(status="done", seconds=1.5)
LIES = "print('\\ndone after 3 epochs\\nfailed after 1 s\\nTimeout (0:00:10)!\\n=== attempt')"


def begun(traced: int = 0) -> Beginning:
    return Beginning(run="r", traced=traced)


def test_a_beginning_without_an_end_is_a_death() -> None:
    first = begun()
    second = begun()
    lines = [to_line(first), to_line(second), to_line(make_ending(second, DONE))]
    one, two = read_attempts(lines, 0)
    assert (one.died, one.late, one.beginning) == (True, False, first)
    assert (two.died, two.late) == (False, False)
    assert two.ending is not None
    assert (two.ending.status, two.ending.seconds) == ("done", 1.5)


def test_a_trace_that_has_grown_since_is_a_timeout() -> None:
    lines = [to_line(begun()), to_line(begun(100)), to_line(begun(100))]
    attempts = read_attempts(lines, 250)
    assert [(a.late, a.died) for a in attempts] == [(True, False), (False, True), (True, False)]
    assert (timeouts(attempts), deaths(attempts)) == (2, 1)


@pytest.mark.parametrize(
    "torn", ['{"begin": {"run"', "", "{}", "[]", "3", '{"end": {"x": 1}}', "\xff"]
)
def test_torn_lines_tell_of_nothing(torn: str) -> None:
    assert read_attempts([torn], 0) == []
    assert len(read_attempts([torn, to_line(begun()), torn], 0)) == 1


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    Store(tmp_path).prepare()
    return RunFiles(tmp_path)


def test_a_record_after_a_torn_one_has_a_line_of_its_own(files: RunFiles) -> None:
    files.begin_attempt("k", "r")
    path = files.root / "logs" / "k.jsonl"
    path.write_bytes(path.read_bytes() + b'{"end": {"att')
    second = files.begin_attempt("k", "r")
    files.end_attempt("k", second, DONE)
    first, last = files.attempts("k", "r")
    assert first.died
    assert last.ending == make_ending(second, DONE)
    assert files.attempts("k", "other") == files.attempts("none", "r") == []


def test_an_unused_trace_leaves_no_file_and_a_used_one_says_when(files: RunFiles) -> None:
    with files.trace("k"):
        pass
    assert not (files.root / "logs" / "k.timeout").exists()
    files.begin_attempt("k", "r")
    with files.trace("k") as trace:
        trace.write("Timeout (0:00:10)!")
    (attempt,) = files.attempts("k", "r")
    assert attempt.late


def run(out: Path, plugin: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        "--methods",
        "plain",
        "--epochs",
        "1",
        "--points",
        "40",
        "--eval",
        "plugin",
        "--plugin",
        str(plugin),
        "--workers",
        "1",
        "--out",
        str(out),
        *more,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)


def records(out: Path) -> list[list[str]]:
    """For each attempt at judging, what its lines say."""
    paths = [
        p for p in (out / "logs").glob("*.jsonl") if "lies" in p.with_suffix(".log").read_text()
    ]
    (path,) = paths
    return [list(json.loads(line)) for line in path.read_text().splitlines()]


def test_a_plugin_that_prints_what_logs_say_and_dies_is_a_death(
    tmp_path: Path,
    plugin_file: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On dask, which gives up on a job only after so many deaths of its workers as we count."""
    body = f"print('lies'); {LIES}; os.kill(os.getpid(), signal.SIGKILL)"
    plugin = plugin_file("plugin", evaluator(body).replace("[int] = 10", "[int] = 40"))
    monkeypatch.setenv(
        "DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT", "10ms"
    )  # as if it were busy
    ended = run(tmp_path / "out", plugin, "--engine", "dask")
    assert ended.returncode == 1, ended.stderr
    (row,) = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert "killed: its worker died (at every attempt)" in row["failures"]["plugin"]
    assert records(tmp_path / "out") == [["begin"]] * 4
