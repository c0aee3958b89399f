"""Inputs that a user chose."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from bench.__main__ import main
from bench.data.datasets import DataSet
from bench.data.given_inputs import given_inputs
from bench.store.results import Store
from relu.errors import InputError
from relu.network.architectures import build

CHOSEN = [400, 3, 17]
ONE: dict[str, Any] = {"x": np.ones((1, 8, 8)), "y": np.arange(1)}


@pytest.fixture
def table(tmp_path: Path, digits: DataSet) -> Path:
    path = tmp_path / "chosen.csv"
    frame = pd.DataFrame({"test_index": CHOSEN, "label": digits.y_test[CHOSEN].numpy(), "x": "-"})
    frame.to_csv(path, index=False)
    return path


def test_a_table_chooses_test_inputs_in_its_order(digits: DataSet, table: Path) -> None:
    data = given_inputs(digits, table)
    assert torch.equal(data.x_test, digits.x_test[CHOSEN])
    assert torch.equal(data.y_test, digits.y_test[CHOSEN])
    assert torch.equal(data.x_train, digits.x_train)
    assert data.fingerprint("test") != digits.fingerprint("test")


def test_a_file_brings_images_and_labels(digits: DataSet, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((4, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", x=x, y=np.arange(4))
    data = given_inputs(digits, tmp_path / "mine.npz")
    assert np.array_equal(data.x_test[:, 0].numpy(), x)
    assert data.y_test.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        ({"index": [1, 2], "label": [9, 9]}, "labels are not those of digits: test input 2"),
        ({"index": [1, 445]}, "index: expected whole numbers from 0 to 444, got 1 to 445"),
        ({"index": [1.5, 2]}, "expected whole numbers from 0 to 444, got float64"),
        ({"index": [1, 1]}, "has an input twice"),
        ({"index": []}, "there are none"),
        ({"index": [1, 2], "label": ["a", "b"]}, "label: expected whole numbers from 0 to 9"),
        ({"index": [1, 2], "Eps": [0.1, 0.2]}, "for each input is called eps, got 'Eps'"),
        ({"index": [1, 2], "epsilon": [0.1, 0.2]}, "is called eps, got 'epsilon'"),
        ({"index": [1, 2], "eps": [0.1, 0.0]}, "eps must be a positive number .* got '0.0'"),
        ({"index": [1, 2], "eps": [0.1, None]}, "eps must be a positive number .* got 'nan'"),
        ({"index": [1, 2], "eps": ["0.1", "inf"]}, "eps must be a positive number .* got 'inf'"),
        ({"index": [1, 2], "eps": ["1/2", "?"]}, "eps must be a positive number .* got '?'"),
    ],
)
def test_tables_that_do_not_fit_are_told_why(
    digits: DataSet, tmp_path: Path, frame: dict[str, Any], complaint: str
) -> None:
    path = tmp_path / "chosen.csv"
    pd.DataFrame(frame).to_csv(path, index=False)
    with pytest.raises(InputError, match=complaint) as caught:
        given_inputs(digits, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"x": np.zeros((2, 8, 8), dtype=np.float32)}, "y is missing"),
        ({"x": np.ones((2, 9, 8), dtype=np.float32), "y": np.arange(2)}, "expected images of"),
        ({"x": np.ones((2, 8, 8), dtype=np.float32), "y": np.arange(3)}, "2 images but labels"),
        (ONE | {"EPS": np.ones(1)}, "for each input is called eps, got 'EPS'"),
        (ONE | {"eps": np.ones(2)}, r"expected 1 positive .* got float64 of shape \(2,\)"),
        (ONE | {"eps": np.float64(0.1)}, r"got float64 of shape \(\)"),
        (ONE | {"eps": np.array(["a"])}, r"expected 1 positive numbers, .* got <U1"),
        (ONE | {"eps": np.array([-0.5])}, "got -0.5 for input 0"),
        (ONE | {"eps": np.array([np.nan])}, "got nan for input 0"),
    ],
)
def test_files_that_do_not_fit_are_told_why(
    digits: DataSet, tmp_path: Path, arrays: dict[str, Any], complaint: str
) -> None:
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(InputError, match=complaint):
        given_inputs(digits, tmp_path / "mine.npz")


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.txt", "", "must name an .npz or .csv file"),
        ("gone.csv", None, "there is no file"),
        ("a.csv", "", "is not a readable CSV file"),
        ("a.npz", "", "is empty"),
    ],
)
def test_other_files_are_told(
    digits: DataSet, tmp_path: Path, name: str, text: str | None, complaint: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=complaint):
        given_inputs(digits, tmp_path / name)


@pytest.mark.parametrize("engine", ["inline", "local"])
def test_they_are_judged_in_the_place_of_the_first(
    tmp_path: Path, table: Path, digits: DataSet, engine: str
) -> None:
    net = build("fc_small", digits.shape, digits.classes)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    out = tmp_path / "out"
    command = ["eval", str(tmp_path / "net.safetensors"), "--arch", "fc_small"]
    more = ["--dataset", "digits", "--inputs", str(table), "--eval", "pgd", "--engine", engine]
    assert main([*command, *more, "--out", str(out)]) == 0
    (row,) = json.loads((out / "leaderboard.json").read_text())
    assert row["points"] == 3
    assert row["settings"]["inputs"] == "chosen.csv"
    store = Store(out)
    (key,) = store.keys("clean")
    clean = store.load_clean(key)
    predicted = net(digits.x_test[CHOSEN]).argmax(1)
    assert clean["label"].tolist() == digits.y_test[CHOSEN].tolist()
    assert clean["predicted"].tolist() == predicted.tolist()


def test_they_are_of_one_data_set(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "--methods", "plain", "--dataset", "digits,mnist", "--inputs", str(table)]
    assert main([*command, "--dry-run"]) == 2
    assert "--inputs expects one --dataset" in capsys.readouterr().err


def test_a_file_may_bring_a_radius_for_each_input(digits: DataSet, tmp_path: Path) -> None:
    path = tmp_path / "radii.csv"
    path.write_text("index, eps, note\n400, 0.1, a\n3, 4/255, b\n17, 0.30000000000000004, c\n")
    data = given_inputs(digits, path)
    assert torch.equal(data.x_test, digits.x_test[CHOSEN])
    assert data.eps is not None
    assert data.eps.tolist() == [0.1, 4 / 255, 0.1 + 0.2]
    assert str(data.threat("l2", (0.0, 1.0), 2)) == "l2 given"
    assert data.threat("l2", (0.0, 1.0), 2).radii == (0.1, 4 / 255)
    y = digits.y_test[CHOSEN].numpy()
    np.savez(tmp_path / "radii.npz", x=data.x_test.numpy(), y=y, eps=data.eps.numpy())
    again = given_inputs(digits, tmp_path / "radii.npz")
    assert again.eps is not None
    assert torch.equal(again.eps, data.eps)
    assert again.fingerprint("test") == data.fingerprint("test")
    np.savez(tmp_path / "whole.npz", **ONE, eps=np.ones(1, dtype=int))
    with pytest.raises(InputError, match=r"whole.npz: linf eps 1 reaches across the whole box"):
        given_inputs(digits, tmp_path / "whole.npz").threat("linf", (0.0, 1.0), 1)
