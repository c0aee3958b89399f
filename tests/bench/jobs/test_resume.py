"""Runs that are killed, and plugins that misbehave, through the real command line."""

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from bench.__main__ import main
from tests.bench.example_plugins import evaluator
from tests.outputs import stored_jobs

Write = Callable[[str, str], Path]

# Dies the fourth time it is called; its answer depends on the random numbers it is given.
DEADLY = """log = Path({log!r})
        with log.open("a") as file: file.write("call\\\\n")
        if log.read_text().count("call") == 4: os.kill(os.getpid(), signal.SIGKILL)
        noise = torch.rand_like(x) / 1000
        witness = torch.where((known.high.view(-1, 1, 1, 1) > 0) & (x.sum() > 0), noise, witness)"""


def arguments(out: Path, *more: str) -> list[str]:
    return [
        "run",
        "--methods",
        "plain",
        "--engine",
        "inline",
        "--epochs",
        "2",
        "--points",
        "60",
        "--out",
        str(out),
        *more,
    ]


def bench(out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, which can be killed."""
    command = [sys.executable, "-m", "bench", *arguments(out, *more)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rows(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((out / "leaderboard.json").read_text())
    return found


def test_a_run_killed_inside_an_evaluation_goes_on_where_it_was(
    tmp_path: Path, plugin_file: Write
) -> None:
    log = tmp_path / "calls"
    plugin = str(plugin_file("deadly", evaluator(DEADLY.format(log=str(log)))))
    out = tmp_path / "killed"
    undisturbed = tmp_path / "undisturbed"
    asked = ("--plugin", plugin, "--eval", "pgd,region,deadly")
    killed = bench(out, *asked)
    assert killed.returncode == -signal.SIGKILL
    assert not (out / "leaderboard.json").exists()
    finished = {p.name for p in (out / "evidence").iterdir()}
    assert len(finished) == 2 + 3  # pgd's and region's only shards and three of deadly's six
    resumed = bench(out, *asked)
    assert resumed.returncode == 0, resumed.stderr
    assert log.read_text().count("call") == 4 + 3  # the fourth again, the fifth, the sixth
    assert stored_jobs(resumed.stderr) == 2 + 5
    whole = bench(undisturbed, *asked)
    assert whole.returncode == 0, whole.stderr
    for name in ("leaderboard.md", "leaderboard.csv", "leaderboard.json"):
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes()
    for path in (out / "evidence").rglob("witness.safetensors"):
        assert path.read_bytes() == (undisturbed / path.relative_to(out)).read_bytes()


@dataclass(frozen=True)
class Ended:
    """How a run with a plugin ended."""

    status: int
    rows: list[dict[str, Any]]
    table: str
    err: str


@pytest.fixture
def end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    def run(plugin: Path, *more: str) -> Ended:
        out = tmp_path / "out"
        status = main(arguments(out, "--plugin", str(plugin), *more))
        err = capsys.readouterr().err
        return Ended(status, rows(out), (out / "leaderboard.md").read_text(), err)

    return run


def test_an_evaluator_that_raises_fails_itself_only(
    tmp_path: Path, plugin_file: Write, end: Callable[..., Ended]
) -> None:
    plugin = plugin_file("broken", evaluator("raise KeyError('lost')"))
    ended = end(plugin)
    assert ended.status == 1
    assert ended.rows[0]["robust_error_low"] > 0  # pgd's evidence stands
    assert "plugin: KeyError: 'lost' (6 of 6 shards)" in ended.table
    logs = [path.read_text() for path in (tmp_path / "out" / "logs").iterdir()]
    assert sum("Traceback" in log for log in logs) == 6
    assert end(plugin).err.count("FAILED") == 6  # a failure is never stored


def test_an_evaluator_that_lies_ends_as_a_contradiction(
    plugin_file: Write, end: Callable[..., Ended]
) -> None:
    ended = end(plugin_file("liar", evaluator("low += 0.9")))
    assert ended.status == 1
    assert "CONTRADICTION (digits fc_small plain linf): test input 0: liar proves" in ended.err
    assert ended.rows[0]["contradictions"]
    assert ended.rows[0]["robust_error_high"] == 1.0  # no lie enters a number
    assert "its certificates are withdrawn" in ended.table


def test_a_lie_cannot_keep_an_attack_away(plugin_file: Write, end: Callable[..., Ended]) -> None:
    """An evaluator that runs before PGD certifies everything; PGD attacks all the same."""
    honest = end(plugin_file("idle", evaluator())).rows[0]["robust_error_low"]
    text = evaluator("low += (known.high > 0) * threat.eps").replace("[int] = 50", "[int] = 1")
    ended = end(plugin_file("liar", text))
    assert ended.status == 1
    assert ended.rows[0]["robust_error_low"] == honest > 0.5
    assert ended.rows[0]["robust_error_high"] == 1.0


@pytest.mark.parametrize(
    "body",
    [
        "x += 0.2; witness = x",
        "y.zero_(); x.zero_()",
        "known.high.zero_()",
        "[p.requires_grad_(False).zero_() for p in net.parameters()]; witness = x + 0.001",
    ],
)
def test_an_evaluator_that_works_in_place_spoils_nothing(
    plugin_file: Write, end: Callable[..., Ended], body: str
) -> None:
    both = ("--methods", "plain,at", "--set", "at.steps=1", "--epochs", "10", "--eval", "inplace")
    plain, at = end(plugin_file("inplace", evaluator(body)), *both).rows
    assert plain["robust_error_low"] < 0.5
    only = ("--methods", "at", "--set", "at.steps=1", "--epochs", "10", "--eval", "pgd")
    (fresh,) = end(plugin_file("idle", evaluator()), *only).rows
    assert at["test_error"] == fresh["test_error"]
    assert at["robust_error_low"] <= fresh["robust_error_low"]


def test_an_evaluator_that_failed_once_leaves_no_trace_in_later_results(
    tmp_path: Path, plugin_file: Write, end: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "if os.environ.get('FLAKY'): raise RuntimeError; \n        witness[:5] = 1 - x[:5]"
    plugin = plugin_file("flaky", evaluator(body).replace("[int] = 50", "[int] = 1"))
    asked = ("--eval", "pgd,region,flaky")
    monkeypatch.setenv("FLAKY", "1")
    assert end(plugin, *asked).status == 1
    monkeypatch.delenv("FLAKY")
    assert end(plugin, *asked).status == 0
    settings = [json.loads(p.read_text()) for p in (tmp_path / "out").rglob("settings.json")]
    (pgd,) = [s for s in settings if s["settings"].get("evaluator") == "pgd"]
    assert len(pgd["inputs"]["heard"]) == 6
    assert stored_jobs(end(plugin, *asked).err) == 10


def test_evidence_about_a_network_that_was_lost_is_not_believed_of_another(
    tmp_path: Path, plugin_file: Write, end: Callable[..., Ended]
) -> None:
    plugin = plugin_file("idle", evaluator())
    end(plugin)
    (network,) = (tmp_path / "out" / "networks").iterdir()
    weights = {k: v + 0.01 for k, v in load_file(network / "network.safetensors").items()}
    save_file(weights, network / "network.safetensors")
    about = json.loads((network / "settings.json").read_text())
    digest = hashlib.sha256((network / "network.safetensors").read_bytes()).hexdigest()[:16]
    about["files"]["network.safetensors"] = digest  # as another machine would have trained it
    (network / "settings.json").write_text(json.dumps(about))
    assert main(["leaderboard", str(tmp_path / "out")]) == 0
    (row,) = rows(tmp_path / "out")
    assert row["test_error"] is None
    assert row["failures"] == {"network": "not finished"}
    assert stored_jobs(end(plugin).err) == 1  # the network alone


def test_an_evaluator_that_refuses_is_a_dash_with_a_footnote(
    plugin_file: Write, end: Callable[..., Ended]
) -> None:
    plugin = plugin_file("picky", evaluator(refusal="'no sigmoids'"))
    ended = end(plugin, "--eval", "pgd,picky")
    assert ended.status == 0
    assert ended.rows[0]["refusals"] == {"picky": "no sigmoids"}
    assert "– [1]" in ended.table
    assert "[1] plugin: no sigmoids" in ended.table


def test_witnesses_that_are_none_are_refused_and_said(
    tmp_path: Path, plugin_file: Write, end: Callable[..., Ended]
) -> None:
    plugin = plugin_file("dreamer", evaluator("witness = x * 0 - 5.0"))
    assert end(plugin, "--eval", "dreamer").status == 0
    tables = [pd.read_parquet(p) for p in (tmp_path / "out" / "evidence").rglob("*.parquet")]
    assert {o for t in tables for o in t["outcome"]} == {"witness refused: outside the box"}
    assert np.isinf(np.concatenate([t["high"] for t in tables])).all()


@pytest.mark.parametrize(
    ("loss", "complaint"),
    [
        ("(net(x) * float('nan')).sum()", "training diverged in epoch 1 of 2: the loss is nan"),
        ("1 / 0", "ZeroDivisionError"),
        ("net(x).sum(1)", "expected a scalar loss, got (128,)"),
    ],
)
def test_a_method_that_fails_leaves_the_other_cells_alone(
    plugin_file: Write, end: Callable[..., Ended], loss: str, complaint: str
) -> None:
    plugin = plugin_file(
        "bad",
        f"""
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True, kw_only=True)
class Bad:
    label: ClassVar[str] = "bad"
    def loss(self, net, x, y, *, threat, progress):
        return {loss}
""",
    )
    ended = end(plugin, "--methods", "bad,plain")
    assert ended.status == 1
    bad, plain = ended.rows
    assert bad["test_error"] is None
    assert complaint in bad["failures"]["network"]
    assert complaint in ended.table
    assert plain["test_error"] is not None
    assert not plain["failures"]
