"""Whatever goes wrong in a run with real workers ends by name, and loses nothing finished."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.__main__ import main
from bench.data.datasets import DataSet
from bench.jobs.job import Job
from bench.jobs.out_of_memory import in_parts
from bench.jobs.surroundings import own_state
from bench.jobs.training import Watcher, train
from bench.plugins.training import Training
from methods.plain import Plain
from relu.network.architectures import build
from relu.threat import Threat
from tests.bench.example_plugins import evaluator, noting
from tests.outputs import stored_jobs

Write = Callable[[str, str], Path]
FILES = ("leaderboard.md", "leaderboard.csv", "leaderboard.json")


def command(out: Path, *more: str) -> list[str]:
    """A run with PGD and the plugins."""
    plugins = [Path(file).stem for option, file in pairwise(more) if option == "--plugin"]
    return [
        sys.executable,
        "-m",
        "bench",
        "run",
        "--methods",
        "plain",
        "--epochs",
        "2",
        "--points",
        "40",
        "--eval",
        ",".join(["pgd", *plugins]),
        "--out",
        str(out),
        *more,
    ]


def bench(out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(out, *more), capture_output=True, text=True, check=False)


def rows(out: Path) -> list[dict[str, Any]]:
    return list(json.loads((out / "leaderboard.json").read_text()))


def logs(out: Path) -> str:
    return "".join(path.read_text() for path in sorted((out / "logs").iterdir()))


def test_a_worker_that_is_killed_costs_its_job_one_attempt(
    tmp_path: Path, plugin_file: Write
) -> None:
    calls = tmp_path / "calls"
    die = f"if len(Path({str(calls)!r}).read_text().split()) == 2: os.kill(os.getpid(), 9)"
    plugin = str(plugin_file("mortal", noting(str(calls), die)))
    ended = bench(tmp_path / "out", "--plugin", plugin)
    assert ended.returncode == 0, ended.stderr
    assert (
        "killed: its worker died (SIGKILL(-9)), by hand or for want of memory; try" in ended.stderr
    )
    assert len(calls.read_text().split()) == 4 + 1
    whole = tmp_path / "whole"
    shutil.rmtree(tmp_path / "out" / "drafts")
    assert bench(whole, "--plugin", plugin).returncode == 0
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (whole / name).read_bytes()


def test_what_raises_hangs_or_kills_ends_by_name_and_the_rest_stands(
    tmp_path: Path, plugin_file: Write
) -> None:
    calls = tmp_path / "calls"
    bodies = {
        "raises": noting(str(calls), "raise KeyError('lost')").replace("= 10", "= 40"),
        "hangs": evaluator("print('here we are'); time.sleep(600)").replace("= 10", "= 40"),
        "kills": evaluator(
            "print('done after 3 epochs'); os.kill(os.getpid(), signal.SIGKILL)"
        ).replace("= 10", "= 40"),
        "nan": evaluator("low += torch.nan").replace("= 10", "= 40"),
    }
    plugins = [
        part for name, text in bodies.items() for part in ("--plugin", str(plugin_file(name, text)))
    ]
    ended = bench(tmp_path / "out", "--timeout", "10", *plugins)
    assert ended.returncode == 1, ended.stderr
    (row,) = rows(tmp_path / "out")
    assert row["robust_error_low"] > 0
    assert row["failures"] == {
        "raises": "KeyError: 'lost'",
        "hangs": "timeout: not finished after 10 s; its log (logs/*.timeout) says where it was",
        "kills": "killed: its worker died (SIGKILL(-9)), by hand or for want of memory",
        "nan": "every low must be a number >= 0",
    }
    assert ended.stderr.count("trying again") == 1 + 1 + 3
    assert len(set(calls.read_text().split())) == 2  # a fresh worker
    said = logs(tmp_path / "out")
    assert "here we are" in said  # what a plugin prints
    assert "Timeout (0:00:10)!" in said
    assert "hangs.py" in said  # and where it hung
    assert "KeyError: 'lost'" in said
    table = (tmp_path / "out" / "leaderboard.md").read_text()
    assert "plugin: timeout: not finished after 10 s" in table


def test_two_runs_on_one_store_share_the_work(tmp_path: Path, plugin_file: Write) -> None:
    calls = tmp_path / "calls"
    out = tmp_path / "out"
    plugin = str(plugin_file("slow", noting(str(calls), seconds=0.5)))
    arguments = command(out, "--plugin", plugin, "--workers", "1", "--seeds", "0,1")
    runs = [
        subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], printed
    assert len(calls.read_text().split()) == 8  # every shard once
    assert len(set(calls.read_text().split())) == 2  # by both
    assert printed[0][0].split("| data set")[1] == printed[1][0].split("| data set")[1]


def test_a_store_goes_on_where_it_is_moved_to(tmp_path: Path, plugin_file: Write) -> None:
    calls = tmp_path / "calls"
    die = f"if len(Path({str(calls)!r}).read_text().split()) == 3: os.kill(os.getppid(), 9)"
    plugin = str(plugin_file("mortal", noting(str(calls), die)))
    here = tmp_path / "here"
    there = tmp_path / "far" / "there"
    assert bench(here, "--plugin", plugin, "--workers", "1").returncode == -signal.SIGKILL
    there.parent.mkdir()
    time.sleep(1.5)  # the orphaned worker ends by itself
    here.rename(there)
    ended = bench(there, "--plugin", plugin, "--workers", "1")
    assert ended.returncode == 0, ended.stderr
    assert stored_jobs(ended.stderr) >= 5  # network, predictions, pgd, two shards
    assert not here.exists()
    assert str(here) not in "".join(p.read_text() for p in there.rglob("*.json"))


def interrupt(process: "subprocess.Popen[str]", out: Path, calls: Path, times: int) -> str:
    """Presses Ctrl-C as a terminal does it, in the whole process group, when a shard has begun."""
    while not calls.exists() or not calls.read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    status = subprocess.run(
        [sys.executable, "-m", "bench", "status", str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(1.0)
    return status.stdout


@pytest.mark.parametrize(("times", "finished"), [(1, True), (2, False)])
def test_ctrl_c_once_finishes_what_runs_and_twice_does_not(
    tmp_path: Path, plugin_file: Write, times: int, finished: bool
) -> None:
    calls = tmp_path / "calls"
    out = tmp_path / "out"
    plugin = str(plugin_file("slow", noting(str(calls), seconds=8.0 if finished else 60.0)))
    process = subprocess.Popen(
        command(out, "--plugin", plugin, "--workers", "1", "--eval", "pgd,region,slow"),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    status = interrupt(process, out, calls, times)
    assert "running" in status.splitlines()[0]
    assert "cpu 1  slow on digits 0-10" in status
    assert "networks stored: 1 of 1" in status
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "bench: interrupted; the same command goes on from here"
    assert "finishing 1 jobs, starting no more; Ctrl-C again stops at once" in err
    assert "Traceback" not in err
    assert (
        len(list((out / "evidence").iterdir())) == 2 + finished
    )  # pgd, region, and the one that ran
    assert main(["status", str(out)]) == 0


def test_out_of_memory_halves_the_shard_and_is_told_in_the_log(
    tmp_path: Path, plugin_file: Write
) -> None:
    big = "if len(x) > 3: raise torch.OutOfMemoryError('CUDA out of memory. Tried to')"
    ended = bench(
        tmp_path / "out",
        "--engine",
        "inline",
        "--plugin",
        str(plugin_file("hungry", evaluator(big))),
    )
    assert ended.returncode == 0, ended.stderr
    assert "out of memory with 10 inputs, trying half" in logs(tmp_path / "out")
    big = big.replace("> 3", "> 0")
    ended = bench(
        tmp_path / "out",
        "--engine",
        "inline",
        "--plugin",
        str(plugin_file("hungry", evaluator(big))),
    )
    assert ended.returncode == 1
    (row,) = rows(tmp_path / "out")
    assert row["failures"]["hungry"].startswith("out of memory: CUDA out of memory")


def test_parts_come_back_in_order_and_a_single_input_that_does_not_fit_raises() -> None:
    def work(limit: int) -> Callable[[int, int], list[int]]:
        def part(start: int, stop: int) -> list[int]:
            if stop - start > limit:
                raise MemoryError
            return list(range(start, stop))

        return part

    assert [i for part in in_parts(work(3), 13) for i in part] == list(range(13))
    with pytest.raises(MemoryError):
        in_parts(work(0), 13)


class Hungry(Plain):
    """Batches above 40 inputs are too large."""

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, **keywords: Any) -> Tensor:
        if len(x) > 40:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().loss(net, x, y, **keywords)


class Counting(Watcher):
    parts = 1

    def halved(self, parts: int, reason: str) -> None:
        self.parts = parts


def test_a_training_out_of_memory_adds_up_the_gradients_of_parts(digits: DataSet) -> None:
    nets = []
    watcher = Counting()
    for method in (Plain(), Hungry()):
        nets.append(build("fc_small", digits.shape, digits.classes).double())
        data = DataSet(
            name="digits",
            classes=10,
            x_train=digits.x_train.double()[:256],
            y_train=digits.y_train[:256],
            x_test=digits.x_test,
            y_test=digits.y_test,
        )
        train(
            nets[-1],
            method,
            data,
            threat=Threat(norm="linf", eps=0.1),
            seed=0,
            training=Training(epochs=2),
            augmented=False,
            watcher=watcher,
        )
    assert watcher.parts == 4
    for whole, parts in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(parts, whole, atol=1e-10, rtol=1e-8)


@pytest.mark.filterwarnings("default")
def test_the_main_job_on_a_dask_cluster_with_a_gpu_by_name(
    tmp_path: Path, plugin_file: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    from distributed import LocalCluster

    calls = tmp_path / "calls"
    plugin = str(plugin_file("other", noting(str(calls)).replace('"cpu"', '"gpu"')))
    with LocalCluster(
        n_workers=2,
        processes=True,
        threads_per_worker=1,
        resources={"GPU": 1},
        dashboard_address=None,
        memory_limit=None,
    ) as cluster:
        arguments = [
            "run",
            "--methods",
            "plain,at",
            "--set",
            "at.steps=1",
            "--epochs",
            "1",
            "--points",
            "40",
            "--plugin",
            plugin,
            "--eval",
            "pgd,region,other",
        ]
        asked = ["--engine", "dask", "--address", cluster.scheduler_address]
        assert main([*arguments, *asked, "--out", str(tmp_path / "dask")]) == 0
        assert main([*arguments, *asked, "--out", str(tmp_path / "dask")]) == 0
    assert stored_jobs(capfd.readouterr().err) == 2 * 8
    assert len(calls.read_text().split()) == 8
    assert main([*arguments, "--engine", "inline", "--out", str(tmp_path / "inline")]) == 0
    for row, same in zip(rows(tmp_path / "dask"), rows(tmp_path / "inline"), strict=True):
        assert row["test_error"] == pytest.approx(same["test_error"], abs=0.01)


def test_what_a_job_does_to_its_process_does_not_reach_the_next() -> None:
    def draw() -> list[float]:
        with own_state(Job(kind="judge", key="0" * 24, settings={})):
            drawn = [random.random(), float(np.random.rand())]
            torch.set_default_dtype(torch.float64)
            torch.set_grad_enabled(False)
            torch.use_deterministic_algorithms(False)
        return drawn

    assert draw() == draw()
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_code_that_changes_under_a_run_fails_the_job_instead_of_mixing_old_and_new(
    tmp_path: Path, plugin_file: Write
) -> None:
    """A shard edits the file that it comes from; a worker that starts later must refuse it."""
    calls = tmp_path / "calls"
    die = "Path(__file__).write_text(Path(__file__).read_text() + '#'); os.kill(os.getpid(), 9)"
    plugin = plugin_file("edited", noting(str(calls), die))
    ended = bench(tmp_path / "out", "--plugin", str(plugin), "--workers", "1")
    assert ended.returncode == 1
    (row,) = rows(tmp_path / "out")
    assert row["failures"]["edited"] == (
        "the code of evaluator 'edited' is not what it was when the run was planned (4 of 4 shards)"
    )
    assert len(calls.read_text().split()) == 1
