"""Threads that jobs compute with, measured from inside them: never more than --cpus says."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from bench.scheduling.machine import cores
from tests.bench.example_plugins import evaluator

MEASURE = """import json, numpy, pyarrow, threadpoolctl
        a, b = torch.rand(400, 400), numpy.random.rand(400, 400)
        began, before = time.time(), time.process_time()
        while time.time() < began + 0.5:
            a, b = (a @ a) / 200, (b @ b) / 200
        spent, ended = time.process_time() - before, time.time()
        pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
        said = dict(torch=torch.get_num_threads(), pools=pools, arrow=pyarrow.cpu_count(),
                    busy=spent / (ended - began), began=began, ended=ended)
        with open({log!r}, "a") as file: file.write(json.dumps(said) + chr(10))"""


def measured(
    tmp_path: Path, write: Callable[[str, str], Path], *how: str, environment: dict[str, str]
) -> list[dict[str, Any]]:
    """What each of four shards saw."""
    log = tmp_path / "threads"
    plugin = write("plugin", evaluator(MEASURE.format(log=str(log))))
    command = [sys.executable, "-m", "bench", "run", "--methods", "plain", "--epochs", "1"]
    command += ["--points", "40", "--eval", "plugin", "--plugin", str(plugin), "--gpus", "none"]
    command += ["--out", str(tmp_path / "out"), *how]
    unset = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=unset | environment
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in log.read_text().splitlines()]


def at_once(seen: list[dict[str, Any]]) -> int:
    """The most threads of all shards that were at work at one time."""
    return max(
        sum(s["torch"] for s in seen if s["began"] <= one["began"] < s["ended"]) for one in seen
    )


@pytest.mark.parametrize(
    ("how", "environment", "limit"),
    [
        (("--engine", "inline", "--cpus", "1"), {}, 1),
        (("--engine", "local"), {"OMP_NUM_THREADS": "1"}, 1),
        (("--engine", "dask", "--cpus", "1"), {}, 1),
        (("--engine", "local", "--cpus", "2", "--workers", "1"), {}, 2),
    ],
)
def test_threads_of_all_jobs_stay_within_the_limit(
    tmp_path: Path,
    plugin_file: Callable[[str, str], Path],
    how: tuple[str, ...],
    environment: dict[str, str],
    limit: int,
) -> None:
    if cores() < limit:
        pytest.skip(f"needs {limit} cores")
    seen = measured(tmp_path, plugin_file, *how, environment=environment)
    assert len(seen) == 4
    assert at_once(seen) <= limit
    assert max(shard["torch"] for shard in seen) == limit
    for shard in seen:
        assert max(shard["pools"]) <= max(1, shard["torch"])
        assert shard["arrow"] <= limit
        assert shard["busy"] <= shard["torch"] + 0.2


@pytest.mark.parametrize("cpus", ["0", "999", "x"])
def test_cpus_that_are_not_there_are_refused_with_their_number(
    cpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["run", "--methods", "plain", "--cpus", cpus, "--out", str(out)]) == 2
    err = capsys.readouterr().err
    assert err == f"bench: --cpus expects a whole number from 1 to {cores()}, got {cpus!r}\n"
    assert not out.exists()
