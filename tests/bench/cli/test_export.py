"""`export`: what others are given of a run is what the run judged."""

import csv
import hashlib
import json
import re
import shlex
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.__main__ import main
from bench.data.datasets import DataSet
from tests.bench.data.test_questions import box_of
from tests.relu.network.onnx.models import _session, chain_to_onnx

RUN = ["--epochs", "3", "--points", "24", "--set", "pgd.steps=5"]
RUN += ["--engine", "inline", "--gpus", "none"]
NUMBERS = ("test_error", "robust_error_low", "robust_error_high", "radius_low")
Export = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose plain network has a row for each norm, and whose AT networks have one each."""
    folder = tmp_path_factory.mktemp("export") / "run"
    what = ["--methods", "plain,at", "--set", "at.steps=3", "--norm", "linf,l2", "--eval", "pgd,kw"]
    assert main(["run", *what, *RUN, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str]) -> Export:
    """Runs export; its status, and what it printed on stderr."""

    def call(run: Path, out: Path, *options: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main(["export", str(run), "--out", str(out), *options])
        return status, capsys.readouterr().err

    return call


def rows_of(run: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((run / "leaderboard.json").read_text())
    return rows


def names(out: Path, pattern: str = "*") -> list[str]:
    return sorted(path.name for path in out.glob(pattern))


def the(out: Path, pattern: str) -> Path:
    (path,) = out.glob(pattern)
    return path


def command_in(card: str, threat: str) -> list[str]:
    """The words behind `python -m bench` under a threat's heading."""
    section = card.partition(f"## {threat}\n")[2]
    (line,) = re.findall(r"^python -m bench (.*)$", section.partition("\n## ")[0], re.MULTILINE)
    return shlex.split(line)


def test_every_network_is_exported_once(run: Path, tmp_path: Path, export: Export) -> None:
    out = tmp_path / "out"
    assert export(run, out) == (0, f"3 networks in {out}\n")
    stems = {Path(name).stem for name in names(out)}
    assert names(out) == sorted(f"{stem}{end}" for stem in stems for end in (".md", ".onnx"))
    keys = {row["network"] for row in rows_of(run)}
    assert {stem.rpartition("_")[2] for stem in stems} == {key[:8] for key in keys}
    assert sum(stem.startswith("digits_fc_small_at_seed0_") for stem in stems) == 2
    assert sum(stem.startswith("digits_fc_small_plain_seed0_") for stem in stems) == 1
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert export(run, out)[0] == 0  # once more: the same files
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*")}


def test_the_file_is_judged_as_the_network_was(run: Path, tmp_path: Path, export: Export) -> None:
    out = tmp_path / "out"
    assert export(run, out, "--only", "method=plain")[0] == 0
    path = the(out, "*.onnx")
    card = path.with_suffix(".md").read_text()
    for threat in ("linf 0.1", "l2 0.3"):
        words = command_in(card, threat)
        assert words[:2] == ["eval", path.name]
        place = tmp_path / threat.replace(" ", "")
        command = ["eval", str(path), *words[2:], "--engine", "inline", "--gpus", "none"]
        assert main([*command, "--out", str(place)]) == 0
        (again,) = rows_of(place)
        (row,) = [
            row
            for row in rows_of(run)
            if (row["method"], row["norm"]) == ("plain", threat.split()[0])
        ]
        assert again["points"] == row["points"]
        for number in NUMBERS:
            assert again[number] == pytest.approx(row[number], abs=1e-5), number


def test_the_card_says_what_the_row_says(run: Path, tmp_path: Path, export: Export) -> None:
    out = tmp_path / "out"
    assert export(run, out, "--only", "method=AT,norm=linf")[0] == 0
    path = the(out, "*.onnx")
    card = path.with_suffix(".md").read_text()
    (row,) = [r for r in rows_of(run) if (r["method"], r["norm"]) == ("at", "linf")]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for fact in (
        f"# {path.stem}\n",
        "| data set | digits |",
        "| architecture | fc_small |",
        "| method | AT (at) |",
        "| seed | 0 |",
        "steps=3, ",
        "train.epochs=3",
        f"| sha256 | {digest} |",
        "| input | input: n x 1 x 8 x 8, pixels in [0, 1] |",
        "## linf 0.1\n",
        f"| test error | {100 * row['test_error']:.2f} % |",
        f"| robust error | {100 * row['robust_error_low']:.2f} % to "
        f"{100 * row['robust_error_high']:.2f} % |",
        f"| mean radius | {row['radius_low']:.6g} to {row['radius_high']:.6g} |",
        "pgd.steps=5",
        "relu-bench ",
        f"torch {torch.__version__}",
    ):
        assert fact in card, fact
    for name, label in (("pgd", "PGD"), ("kw", "KW")):
        part = row["contributions"][name]
        counts = [str(part[key]) for key in ("worked", "fooled", "certified", "alone", "exact")]
        (line,) = re.findall(rf"^\| {label} .*$", card, re.MULTILINE)
        assert [cell.strip() for cell in line.strip("|").split("|")] == [label, *counts]
    settings = next(line for line in card.splitlines() if line.startswith("| settings"))
    assert "pgd" not in settings


def test_questions_are_those_of_the_rows(
    run: Path, tmp_path: Path, export: Export, digits: DataSet
) -> None:
    out = tmp_path / "out"
    status, err = export(run, out, "--questions", "12", "--timeout", "90", "--only", "method=plain")
    assert status == 0
    network = the(out, "*.onnx")
    session = _session(network.read_bytes())
    (logits,) = session.run(None, {"input": digits.x_test[:12].numpy()})
    correct = np.flatnonzero(logits.argmax(1) == digits.y_test[:12].numpy())
    assert 0 < len(correct) < 12
    assert names(out, "*.vnnlib") == sorted(f"{network.stem}_{i}.vnnlib" for i in correct)
    assert f"plain on digits, linf 0.1: {12 - len(correct)} misclassified inputs are left" in err
    assert "no questions about plain on digits, l2 0.3: VNN-LIB 1.0 has boxes only" in err
    rows = list(csv.reader((out / "instances.csv").read_text().splitlines()))
    assert rows == [[network.name, f"{network.stem}_{i}.vnnlib", "90"] for i in correct]
    for i in correct:
        text = (out / f"{network.stem}_{i}.vnnlib").read_text()
        low, high = box_of(text)
        for value, least, most in zip(digits.x_test[i].flatten().tolist(), low, high, strict=True):
            assert least <= max(Fraction(value) - Fraction(0.1), Fraction(0))
            assert most >= min(Fraction(value) + Fraction(0.1), Fraction(1))
            assert most - least <= Fraction(2, 10) + Fraction(1, 10**15)
        label = int(digits.y_test[i])
        others = [other for other in range(10) if other != label]
        assert re.findall(r"\(and \(>= (\w+) (\w+)\)\)", text) == [
            (f"Y_{other}", f"Y_{label}") for other in others
        ]


def test_several_threats_and_an_operation_without_a_rule(
    tmp_path: Path, export: Export, plugin_file: Callable[[str, str], Path]
) -> None:
    plugin = plugin_file(
        "bent",
        "from torch import nn\n\n\ndef build(shape, classes):\n"
        "    layers = nn.Flatten(), nn.Linear(64, 9), nn.Sigmoid(), nn.Linear(9, 10)\n"
        "    return nn.Sequential(*layers)\n",
    )
    folder, out = tmp_path / "run", tmp_path / "out"
    what = ["--methods", "plain", "--arch", "fc_small,bent", "--plugin", str(plugin)]
    what += ["--eps", "0.1,4/255", "--eval", "pgd"]
    assert main(["run", *what, *RUN, "--epochs", "10", "--out", str(folder)]) == 0
    status, err = export(folder, out, "--plugin", str(plugin))
    assert status == 2
    named = r"bench: digits_bent_plain_seed0_\w{8}: layer 2 \(Sigmoid\) cannot be written .*\n"
    assert re.fullmatch(named, err)
    assert not out.exists()
    status, err = export(folder, out)
    assert (status, err.count("\n")) == (2, 1)
    assert "architecture 'bent' is not here: give its file with --plugin" in err
    only = ("--only", "arch=fc_small")
    assert export(folder, out, *only, "--questions", "5,3,5")[0] == 0
    network = the(out, "*.onnx").stem
    listed = [row[1] for row in csv.reader((out / "instances.csv").read_text().splitlines())]
    assert listed == [
        f"{network}_{threat}_{i}.vnnlib" for threat in ("linf_0.1", "linf_4_255") for i in (5, 3)
    ]
    assert names(out, "*.vnnlib") == sorted(listed)
    card = (out / f"{network}.md").read_text()
    assert card.index("## linf 0.1\n") < card.index("## linf 4/255\n")
    status, err = export(folder, tmp_path / "other", *only, "--questions", "24,")
    assert status == 2
    assert "--questions expects numbers of judged inputs, 0 to 23, got 24" in err


def judged(file: Path, out: Path, *options: str) -> None:
    command = ["eval", str(file), "--dataset", "digits", "--eval", "pgd", "--points", "3"]
    assert main([*command, "--engine", "inline", *options, "--out", str(out)]) == 0


@pytest.mark.parametrize("shape", [(1, 8, 8), (64,)])
def test_an_onnx_file_is_exported_as_it_is(
    tmp_path: Path, export: Export, digits_net: nn.Sequential, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "their net!.onnx"
    path.write_bytes(chain_to_onnx(digits_net, shape))
    judged(path, tmp_path / "run")
    out = tmp_path / "out"
    assert export(tmp_path / "run", out, "--questions", "1")[0] == 0
    copy = the(out, "digits_onnx_their_net_*.onnx")
    assert copy.read_bytes() == path.read_bytes()
    sides = " x ".join(map(str, shape))
    assert f": n x {sides}, pixels" in copy.with_suffix(".md").read_text()
    low, _ = box_of(the(out, "*_0.vnnlib").read_text())
    assert len(low) == 64


def test_entries_are_numbered_as_the_file_takes_them(
    tmp_path: Path, export: Export, digits: DataSet, plugin_file: Callable[[str, str], Path]
) -> None:
    """Images of three channels, for a network whose channels come last."""
    images = digits.x_test[:40, :, 1:7].reshape(40, 3, 4, 4)
    labels = digits.y_test[:40]
    data = tmp_path / "halves.npz"
    np.savez(data, x=images.permute(0, 2, 3, 1).numpy(), y=labels.numpy())
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 10))
    path = tmp_path / "last.onnx"
    path.write_bytes(chain_to_onnx(net, (4, 4, 3)))
    command = ["eval", str(path), "--data", str(data), "--eps", "0.01", "--eval", "pgd"]
    assert main([*command, "--engine", "inline", "--out", str(tmp_path / "run")]) == 0
    out = tmp_path / "out"
    assert export(tmp_path / "run", out, "--data", str(data), "--questions", "40")[0] == 0
    for file in out.glob("*.vnnlib"):
        i = int(file.stem.rpartition("_")[2])
        low, high = box_of(file.read_text())
        given = images[i].permute(1, 2, 0).flatten()
        middle = [float(a + b) / 2 for a, b in zip(low, high, strict=True)]
        inside = (given > 0.02) & (given < 0.98)
        assert inside.any()
        assert torch.allclose(torch.tensor(middle)[inside], given[inside], atol=1e-6)
    assert list(out.glob("*.vnnlib"))


def test_given_inputs_and_normalised_pixels(
    tmp_path: Path, export: Export, digits_net: nn.Sequential, digits: DataSet
) -> None:
    path = tmp_path / "normal.safetensors"
    save_file(digits_net.state_dict(), path)
    table = tmp_path / "chosen.csv"
    table.write_text("index\n7\n9\n11\n")
    given = ["--inputs", str(table)]
    options = ["--arch", "fc_small", "--mean", "0.25", "--std", "0.5", *given]
    judged(path, tmp_path / "run", *options)
    out = tmp_path / "out"
    status, err = export(tmp_path / "run", out)
    assert status == 2
    assert "are not those of the run: give --inputs, the file 'chosen.csv' of the run" in err
    assert export(tmp_path / "run", out, *given, "--questions", "3")[0] == 0
    assert "--inputs chosen.csv" in the(out, "*.md").read_text()
    x = digits.x_test[[7, 9, 11]]
    (theirs,) = _session(the(out, "*.onnx").read_bytes()).run(None, {"input": x.numpy()})
    with torch.no_grad():
        ours: Tensor = digits_net((x - 0.25) / 0.5)
    assert np.allclose(theirs, ours.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--only", "method=plian"], "unknown method of this run 'plian'"),
        (["--only", "arch=cnn"], "unknown architecture of this run 'cnn'"),
        (["--only", "colour=red"], "unknown key of --only 'colour'"),
        (["--only", "plain"], "--only expects key=name"),
        (["--questions", "0"], "--questions expects a whole number from 1"),
        (["--questions", "a,b"], "--questions expects a whole number from 0"),
        (["--questions", ","], "--questions expects a whole number from 0"),
        (["--timeout", "soon"], "--timeout expects a number of seconds, got 'soon'"),
        (["--timeout", "-1"], "--timeout expects a number of seconds"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_what_makes_no_sense_is_told(
    run: Path, tmp_path: Path, export: Export, options: Sequence[str], complaint: str
) -> None:
    out = tmp_path / "out"
    status, err = export(run, out, *options)
    assert (status, err.count("\n")) == (2, 1)
    assert complaint in err
    assert not out.exists()


def test_a_folder_that_holds_no_run_is_told(tmp_path: Path, export: Export) -> None:
    status, err = export(tmp_path, tmp_path / "out")
    assert status == 2
    assert "is no run folder" in err
    empty = {"version": 2, "cells": [], "failures": {}, "provenance": {}}
    (tmp_path / "run.json").write_text(json.dumps(empty))
    status, err = export(tmp_path, tmp_path / "out")
    assert status == 2
    assert "has no network that is finished: nothing to export" in err


def test_files_of_others_are_left_alone(run: Path, tmp_path: Path, export: Export) -> None:
    out = tmp_path / "out"
    assert export(run, out, "--only", "norm=l2")[0] == 0
    changed = the(out, "*plain*.md")
    changed.write_text("mine")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    status, err = export(run, out)
    assert status == 2
    assert f"holds another {changed.name}: name another folder" in err
    assert before == {path.name: path.read_bytes() for path in out.iterdir()}
    file = tmp_path / "file"
    file.write_text("")
    status, err = export(run, file)
    assert status == 2
    assert "it is a file" in err
