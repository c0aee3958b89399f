"""Inputs with a radius each, from the command line to the tables."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bench.__main__ import main
from bench.data.datasets import DataSet
from bench.store.results import Store
from bench.store.run_files import read_run
from leaderboard.rows import read_rows
from relu.errors import InputError

CHOSEN = [400, 3, 17, 44, 120, 7]
EPS = [0.02, 4 / 255, 0.3, 0.011, 0.07, 0.15]
Command = Callable[..., int]


@pytest.fixture
def network(tmp_path: Path, digits_net: nn.Sequential) -> Path:
    save_file(digits_net.state_dict(), tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "radii.csv"
    path.write_text(
        "index,eps\n" + "".join(f"{i},{e!r}\n" for i, e in zip(CHOSEN, EPS, strict=True))
    )
    return path


def judge(network: Path, out: Path, *options: str, evaluators: str = "pgd,kw") -> int:
    command = ["eval", str(network), "--arch", "fc_small", "--dataset", "digits"]
    return main([*command, "--eval", evaluators, *options, "--engine", "inline", "--out", str(out)])


def keys(out: Path) -> set[str]:
    return set(Store(out).keys("evidence"))


def evidence(out: Path, evaluator: str) -> pd.DataFrame:
    """An evaluator's evidence about all judged inputs, in order."""
    store = Store(out)
    (cell,) = read_run(out).cells
    return pd.concat([store.load_evidence(key) for key in cell.evidence[evaluator]])


def test_each_input_counts_at_its_own_radius(network: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert judge(network, out, "--inputs", str(table), evaluators="all") == 0
    (row,) = read_rows([out])
    assert row.eps == tuple(EPS)
    assert row.settings["inputs"] == "radii.csv"
    tables = {
        name: evidence(out, name) for name in row.evaluator_labels if name not in row.refusals
    }
    low = np.max([t["low"] for t in tables.values()], axis=0)
    high = np.min([t["high"] for t in tables.values()], axis=0)
    clean = Store(out).load_clean(read_run(out).cells[0].clean)["correct"].to_numpy()
    high[~clean] = 0
    assert row.robust_error_low == np.mean(high <= EPS)
    assert row.robust_error_high == np.mean((high <= EPS) | ~(low >= EPS))
    assert set(high <= EPS) == {False, True}
    assert row.undecided == 0
    printed = (out / "leaderboard.md").read_text()
    assert "| linf given |" in printed
    for name in ("leaderboard", "attribution", "seconds"):
        assert pd.read_csv(out / f"{name}.csv")["eps"].unique().tolist() == ["given"]
    (said,) = json.loads((out / "leaderboard.json").read_text())
    assert said["eps"] == EPS


def test_each_input_is_judged_as_it_is_alone(network: Path, table: Path, tmp_path: Path) -> None:
    """At its own eps, which is all that KW without a search proves."""
    only = ["--set", "kw.bisection_steps=0", "--set", "pgd.growth=1"]
    assert judge(network, tmp_path / "all", "--inputs", str(table), *only) == 0
    together = evidence(tmp_path / "all", "kw")
    assert set(together["low"]) <= {0.0, *EPS}
    assert (together["low"] > 0).any()
    for i, (index, eps) in enumerate(zip(CHOSEN, EPS, strict=True)):
        one = tmp_path / f"{index}.csv"
        one.write_text(f"index\n{index}\n")
        out = tmp_path / str(index)
        assert judge(network, out, "--inputs", str(one), "--eps", repr(eps), *only) == 0
        (alone,) = evidence(out, "kw")["low"]
        assert together["low"].iloc[i] == alone
        (far,) = evidence(out, "pgd")["high"]
        assert (evidence(tmp_path / "all", "pgd")["high"].iloc[i] <= eps) == (far <= eps)


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
import torch
from evaluators.interface import Evidence

@dataclass(frozen=True, kw_only=True)
class Sure:
    label: ClassVar[str] = "sure"
    resource: ClassVar[str] = "cpu"
    shard: ClassVar[int] = {shard}
    step: ClassVar[int] = {step}
    least: float = 0.0

    @classmethod
    def defaults(cls, dataset, arch, threat):
        return {{"least": threat.eps / 1000}}

    def refusal(self, net, threat):
        return None if threat.eps < 0.5 else "too wide"

    def judge(self, net, x, y, *, threat, known):
        assert isinstance(threat.eps, float)
        low = torch.full((len(x),), threat.eps / 1000, dtype=torch.float64)
        return Evidence(low=low, witness=torch.full_like(x, torch.nan), outcome=["done"] * len(x))
"""


@pytest.mark.parametrize(("shard", "step"), [(500, 500), (4, 3), (2, 1)])
def test_parts_of_jobs_get_their_own_radii_and_numbers_stay_numbers_to_plugins(
    network: Path,
    table: Path,
    tmp_path: Path,
    plugin_file: Callable[[str, str], Path],
    shard: int,
    step: int,
) -> None:
    plugin = plugin_file("sure", PLUGIN.format(shard=shard, step=step))
    options = ["--inputs", str(table), "--plugin", str(plugin)]
    assert judge(network, tmp_path / "out", *options, evaluators="sure") == 0
    assert evidence(tmp_path / "out", "sure")["low"].tolist() == [eps / 1000 for eps in EPS]
    (row,) = read_rows([tmp_path / "out"])
    assert row.settings["sure.least"] == max(EPS) / 1000
    before = keys(tmp_path / "out")
    assert len(before) == -(-len(EPS) // shard)
    # The first inputs alone, and the same file in other words: parts that are alike are known.
    assert judge(network, tmp_path / "out", *options, "--points", "4", evaluators="sure") == 0
    assert len(keys(tmp_path / "out") - before) == (1 if shard > 4 else 0)


def test_same_inputs_and_radii_have_the_same_keys(
    network: Path, table: Path, tmp_path: Path, digits: DataSet
) -> None:
    assert judge(network, tmp_path / "out", "--inputs", str(table)) == 0
    first = keys(tmp_path / "out")
    images: dict[str, Any] = {"x": digits.x_test[CHOSEN], "y": digits.y_test[CHOSEN]}
    np.savez(tmp_path / "same.npz", **images, eps=np.array(EPS))
    assert judge(network, tmp_path / "out", "--inputs", str(tmp_path / "same.npz")) == 0
    assert keys(tmp_path / "out") == first
    np.savez(tmp_path / "other.npz", **images, eps=np.array([*EPS[:5], EPS[5] + 2**-40]))
    assert judge(network, tmp_path / "out", "--inputs", str(tmp_path / "other.npz")) == 0
    assert len(keys(tmp_path / "out")) == 2 * len(first)
    assert len(Store(tmp_path / "out").keys("clean")) == 1  # predictions know no radius


def test_rows_of_other_radii_are_other_rows_and_told_apart(
    network: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "wider.csv"
    other.write_text(table.read_text().replace("0.011", "0.012"))
    for name, file in (("a", table), ("b", other), ("c", table)):
        assert judge(network, tmp_path / name, "--inputs", str(file), evaluators="kw") == 0
    capsys.readouterr()
    folders = [str(tmp_path / name) for name in "abc"]
    assert main(["leaderboard", *folders]) == 0
    printed = capsys.readouterr().out
    assert printed.count("| linf given | net (inputs=radii.csv) |") == 2  # and in the seconds
    assert printed.count("| linf given | net (inputs=wider.csv) |") == 2


def test_questions_are_about_each_inputs_own_radius(
    network: Path, table: Path, tmp_path: Path, digits: DataSet
) -> None:
    run = tmp_path / "run"
    given = ["--inputs", str(table)]
    assert judge(network, run, *given, evaluators="kw") == 0
    out = tmp_path / "out"
    assert main(["export", str(run), *given, "--questions", "6", "--out", str(out)]) == 0
    files = sorted(out.glob("*.vnnlib"))
    assert files
    for file in files:
        i = int(file.stem.rpartition("_")[2])
        lines = [line.split() for line in file.read_text().splitlines() if "<= X_" in line]
        edges = torch.tensor([float(line[3].rstrip(")")) for line in lines])
        assert torch.allclose(edges, (digits.x_test[CHOSEN[i]].flatten() + EPS[i]).clamp_max(1))
    assert ", linf 4/255; unsat: robust" in "".join(file.read_text() for file in files)
    (card,) = out.glob("*.md")
    assert "## linf given" in card.read_text()
    assert "--norm linf --points 6 --eval kw --inputs radii.csv" in card.read_text()


def test_run_trains_at_eps_and_judges_at_what_is_given(table: Path, tmp_path: Path) -> None:
    command = ["run", "--methods", "plain,at", "--epochs", "1", "--dataset", "digits"]
    command += ["--eval", "kw", "--engine", "inline", "--inputs", str(table), "--eps", "0.05,0.1"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    rows = read_rows([tmp_path / "out"])
    trained = [(row.method, row.settings.get("train.eps")) for row in rows]
    assert trained == [("plain", None), ("at", 0.05), ("at", 0.1)]
    assert {row.eps for row in rows} == {tuple(EPS)}
    assert "AT (train.eps=0.05)" in (tmp_path / "out" / "leaderboard.md").read_text()


@pytest.mark.parametrize(
    ("text", "options", "complaint"),
    [
        ("index,eps\n1,0.1\n", ["--eps", "0.1"], "gives each input an eps of its own: leave out"),
        ("index,eps\n1,0.1\n2,8\n", [], "linf eps 8 reaches across .* did you mean 8/255"),
        ("index,eps\n1,0.1\n2,\n", [], "eps must be a positive number"),
        ("index,eps\n1,-3\n", [], "eps must be a positive number"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(
    network: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    options: Sequence[str],
    complaint: str,
) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(text)
    assert judge(network, tmp_path / "out", "--inputs", str(path), *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(path) in line
    with pytest.raises(InputError, match=complaint):
        raise InputError(line)
    assert not (tmp_path / "out").exists()


def test_data_without_a_usual_radius_need_no_eps_where_inputs_have_theirs(
    network: Path, tmp_path: Path, digits: DataSet, capsys: pytest.CaptureFixture[str]
) -> None:
    images: dict[str, Any] = {"x": digits.x_test[:9].numpy(), "y": digits.y_test[:9].numpy()}
    np.savez(tmp_path / "mine.npz", **images)
    np.savez(tmp_path / "given.npz", **images, eps=np.full(9, 0.01))
    command = ["eval", str(network), "--arch", "fc_small", "--data", str(tmp_path / "mine.npz")]
    command += ["--eval", "kw", "--engine", "inline", "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "--eps is needed: mine has no usual radius for linf" in capsys.readouterr().err
    assert main([*command, "--inputs", str(tmp_path / "given.npz")]) == 0
