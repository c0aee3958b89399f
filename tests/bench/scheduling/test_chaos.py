"""Workers killed at random moments, the parent killed and started again: nothing changes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bench.store.results import Kind, Store
from bench.store.run_files import RunFiles
from tests.bench.example_plugins import noting

# kills
PARENTS = 5
WORKERS = 20
SEEDS = 4
SHARDS = 10
JOBS = SEEDS * (1 + 1 + 2 + SHARDS)  # train, predict, pgd and region, the plugin's shards
FILES = ("leaderboard.md", "leaderboard.csv", "leaderboard.json")
WORKER = ("popen_loky_posix", "multiprocessing.spawn")  # in a worker's command line


def workers(parent: psutil.Process) -> list[psutil.Process]:
    """The worker processes of a run, that are past their start."""
    found = []
    for process in parent.children(recursive=True):
        try:
            line = " ".join(process.cmdline())
            if any(word in line for word in WORKER) and "resource_tracker" not in line:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def kill_some(run: "subprocess.Popen[str]", out: Path, rng: random.Random, count: int) -> int:
    """Kills so many random workers of a run at random moments of its work; how many it got to."""
    killed = 0
    parent = psutil.Process(run.pid)
    while killed < count and run.poll() is None:
        patience = time.monotonic() + 10
        while not RunFiles(out).at_work() and time.monotonic() < patience:
            time.sleep(0.05)
        time.sleep(rng.uniform(0.0, 3.0))
        there = workers(parent) if run.poll() is None else []
        if there:
            rng.choice(there).send_signal(signal.SIGKILL)
            killed += 1
    return killed


def entries(out: Path) -> int:
    kinds: tuple[Kind, ...] = ("networks", "clean", "evidence")
    return sum(len(Store(out).keys(kind)) for kind in kinds)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "dask"])
def test_chaos_ends_with_the_undisturbed_leaderboard(
    tmp_path: Path, plugin_file: Callable[[str, str], Path], engine: str
) -> None:
    assert JOBS >= 40
    rng = random.Random(20)
    plugin = str(plugin_file("slow", noting(os.devnull, seconds=2.5)))
    seeds = ",".join(map(str, range(SEEDS)))

    def start(out: Path) -> "subprocess.Popen[str]":
        command = [
            sys.executable,
            "-m",
            "bench",
            "run",
            "--methods",
            "plain",
            "--seeds",
            seeds,
            "--epochs",
            "4",
            "--points",
            str(10 * SHARDS),
            "--plugin",
            plugin,
            "--eval",
            "pgd,region,slow",
            "--workers",
            "2",
            "--engine",
            engine,
            "--out",
            str(out),
        ]
        return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    chaos = tmp_path / "chaos"
    calm = tmp_path / "calm"
    killed = 0
    progress: list[int] = []
    for life in range(PARENTS):
        run = start(chaos)
        killed += kill_some(run, chaos, rng, WORKERS // PARENTS)
        assert run.poll() is None, f"too fast for chaos in life {life}: {run.communicate()}"
        patience = time.monotonic() + 60  # each life gets something done
        while entries(chaos) <= (progress[-1] if progress else 0) and time.monotonic() < patience:
            time.sleep(0.1)
        time.sleep(rng.uniform(0.0, 3.0))
        run.kill()
        run.communicate()
        progress.append(entries(chaos))
    assert killed == WORKERS
    assert 0 < progress[-1] < JOBS, progress
    last = start(chaos)
    _, err = last.communicate(timeout=300)
    assert last.returncode == 0, err
    print(f"{engine}: {JOBS} jobs; stored after each parent's death: {progress}")
    whole = start(calm)
    _, err = whole.communicate(timeout=300)
    assert whole.returncode == 0, err
    assert entries(chaos) == entries(calm) == JOBS
    for name in FILES:
        assert (chaos / name).read_bytes() == (calm / name).read_bytes(), name
