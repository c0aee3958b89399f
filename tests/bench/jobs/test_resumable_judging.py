"""Judging in pieces: nothing that is finished is judged again, and what kills is passed over."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from bench.jobs.resumable_judging import Pieces
from bench.store.results import Store
from evaluators.interface import Evidence
from tests.bench.example_plugins import evaluator

Write = Callable[[str, str], Path]

# Notes the sum of each input's pixels; one input is not survived, at first or ever.
ONE_BY_ONE = """name = hashlib.sha256(x.numpy().tobytes()).hexdigest()[:12]
        with open({log!r}, "a") as file: file.write(name + "\\n")
        marked = Path({log!r}).read_text().split().count(name)
        if name == {bad!r} and marked <= {deaths}: os.kill(os.getpid(), signal.SIGKILL)
        witness = torch.where(torch.rand(1, 1, 1, 1) < 0.5, torch.rand_like(x), witness)"""


def bench(out: Path, plugin: Path, engine: str) -> subprocess.CompletedProcess[str]:
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
        "30",
        "--eval",
        "pieces",
        "--plugin",
        str(plugin),
        "--engine",
        engine,
        "--out",
        str(out),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def write(plugin_file: Write, log: Path, bad: str, deaths: int) -> Path:
    text = evaluator(ONE_BY_ONE.format(log=str(log), bad=bad, deaths=deaths))
    text = text.replace("cost:", "step: ClassVar[int] = 1\n    cost:")
    return plugin_file("pieces", "import hashlib\n" + text)


def inputs(log: Path) -> list[str]:
    return log.read_text().split()


def outcomes(out: Path) -> Counter[str]:
    (row,) = json.loads((out / "leaderboard.json").read_text())
    return Counter(row["outcomes"]["pieces"])


def test_a_killed_job_goes_on_with_the_input_it_was_at(tmp_path: Path, plugin_file: Write) -> None:
    whole = tmp_path / "whole"
    log = tmp_path / "log"
    log.touch()
    assert bench(whole, write(plugin_file, log, "none", 0), "inline").returncode == 0
    asked = inputs(log)
    assert len(asked) == 30
    log.write_text("")
    plugin = write(plugin_file, log, asked[17], 1)
    out = tmp_path / "out"
    assert bench(out, plugin, "inline").returncode == -signal.SIGKILL
    assert len(inputs(log)) == 18
    resumed = bench(out, plugin, "inline")
    assert resumed.returncode == 0, resumed.stderr
    undisturbed = tmp_path / "undisturbed"
    assert Counter(inputs(log)) == Counter(asked) + Counter([asked[17]])
    assert bench(undisturbed, plugin, "inline").returncode == 0
    for name in ("leaderboard.md", "leaderboard.csv", "leaderboard.json"):
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes()
    assert not list((out / "drafts").glob("checkpoint-*"))


def test_an_input_that_kills_its_process_says_so_and_the_rest_goes_on(
    tmp_path: Path, plugin_file: Write
) -> None:
    log = tmp_path / "log"
    log.touch()
    assert bench(tmp_path / "a", write(plugin_file, log, "none", 0), "inline").returncode == 0
    bad = inputs(log)[12]
    log.write_text("")
    ended = bench(tmp_path / "out", write(plugin_file, log, bad, 99), "local")
    assert ended.returncode == 0, ended.stderr
    ended_as = outcomes(tmp_path / "out")
    assert ended_as.pop("crashed: ended its process 2 times") == 1
    assert ended_as.total() == 29
    assert ended_as["done"] > 20
    counts = Counter(inputs(log))
    assert counts.pop(bad) == 2
    assert set(counts.values()) == {1}


def found(start: int, stop: int) -> Evidence:
    n = stop - start
    return Evidence(
        low=torch.arange(start, stop).double(),
        witness=torch.full((n, 3), torch.nan),
        outcome=["done"] * n,
        seconds=torch.ones(n).double(),
    )


def pieces(store: Store, run: str = "a", weights: str = "w") -> Pieces:
    return Pieces(store, "key", inputs={"weights": weights, "heard": []}, run=run)


def test_pieces_rest_on_their_inputs_and_only_deaths_of_one_run_count(tmp_path: Path) -> None:
    store = Store(tmp_path)
    x = torch.rand(5, 3)
    asked = list[int]()
    store.prepare()

    def judge(start: int, stop: int) -> Evidence:
        asked.append(start)
        if start == 4:
            raise KeyboardInterrupt
        return found(start, stop)

    def attempt(run: str, weights: str = "w") -> Evidence | None:
        try:
            return pieces(store, run, weights).judge(judge, x, step=2, progress=lambda *_: None)
        except KeyboardInterrupt:
            return None

    assert attempt("a") is None
    assert asked == [0, 2, 4]
    assert attempt("b") is None  # each run dies there once
    assert attempt("c") is None
    assert asked == [0, 2, 4, 4, 4]
    assert attempt("c") is None
    whole = attempt("c")  # twice before in this run
    assert whole is not None
    assert asked == [0, 2, 4, 4, 4, 4]
    assert whole.low.tolist() == [0, 1, 2, 3, 0]
    assert whole.outcome == ["done"] * 4 + ["crashed: ended its process 2 times"]
    assert attempt("d", weights="other") is None  # nothing of what was kept is about these
    assert asked[6:] == [0, 2, 4]
