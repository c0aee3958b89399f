"""`eval` as a person with a network of somebody else meets it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.__main__ import main
from bench.data.datasets import DataSet
from bench.store.results import Store
from tests.relu.network.onnx.models import chain_to_onnx

MEAN = 0.4
STD = 0.25


@pytest.fixture
def evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs eval on digits; its status, its row and what it printed on stderr."""

    def call(path: Path, *arguments: str, out: str = "out") -> tuple[int, Any, str]:
        command = ["eval", str(path), "--dataset", "digits", "--points", "20", "--eval", "pgd,kw"]
        folder = tmp_path / out
        status = main([*command, "--engine", "inline", *arguments, "--out", str(folder)])
        file = folder / "leaderboard.json"
        rows = json.loads(file.read_text()) if file.exists() else [None]
        return status, rows[0], capsys.readouterr().err

    return call


def on_normalised_pixels(net: nn.Sequential) -> dict[str, Tensor]:
    """The weights with which it does on (pixels - mean) / std what it does on pixels."""
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    first = state["1.weight"]
    state["1.bias"] += MEAN * first.sum(1)
    state["1.weight"] = first * STD
    return state


@pytest.fixture
def weights(tmp_path: Path, digits_net: nn.Sequential) -> Path:
    path = tmp_path / "normal.safetensors"
    save_file(on_normalised_pixels(digits_net), path)
    return path


def test_an_onnx_file_needs_no_architecture(
    evaluate: Any, tmp_path: Path, digits_net: nn.Sequential, digits: DataSet
) -> None:
    path = tmp_path / "theirs.onnx"
    path.write_bytes(chain_to_onnx(digits_net, (1, 8, 8)))
    status, row, _ = evaluate(path)
    assert status == 0
    assert (row["arch"], row["method"]) == ("onnx", "theirs")
    weights = tmp_path / "same.safetensors"
    save_file(digits_net.state_dict(), weights)
    _, same, _ = evaluate(weights, "--arch", "fc_small", out="other")
    for number in ("test_error", "robust_error_low", "robust_error_high", "radius_low"):
        assert row[number] == pytest.approx(same[number], abs=1e-5)
    store = Store(tmp_path / "out")
    assert store.load_graph(store.keys("networks")[0]) == path.read_bytes()


@pytest.mark.parametrize("shape", [(64,), (64, 1), (1, 64), (8, 8, 1)])
def test_an_onnx_file_takes_rows_and_channels_that_come_last(
    evaluate: Any, tmp_path: Path, digits_net: nn.Sequential, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "theirs.onnx"
    path.write_bytes(chain_to_onnx(digits_net, shape))
    status, row, _ = evaluate(path)
    assert status == 0
    assert row["test_error"] < 0.2
    assert not row["refusals"]


def test_an_onnx_file_that_has_changed_is_judged_anew(
    evaluate: Any, tmp_path: Path, digits_net: nn.Sequential
) -> None:
    path = tmp_path / "theirs.onnx"
    path.write_bytes(chain_to_onnx(digits_net, (1, 8, 8)))
    _, before, _ = evaluate(path)
    model = onnx.load(path)
    model.graph.initializer[0].CopyFrom(
        onnx.numpy_helper.from_array(
            -onnx.numpy_helper.to_array(model.graph.initializer[0]), model.graph.initializer[0].name
        )
    )
    onnx.save(model, path)
    _, after, _ = evaluate(path)
    assert before["test_error"] < 0.2 < after["test_error"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--arch", "cnn"), "an ONNX file says what network it is: leave out --arch"),
        (("--mean", "0"), "leave out --mean"),
        (("--dataset", "mnist", "--data", "."), "shape"),
    ],
)
def test_what_does_not_go_with_an_onnx_file_is_told(
    evaluate: Any, tmp_path: Path, digits_net: nn.Sequential, options: Any, complaint: str
) -> None:
    path = tmp_path / "theirs.onnx"
    path.write_bytes(chain_to_onnx(digits_net, (1, 8, 8)))
    status, row, err = evaluate(path, *options)
    assert (status, row) == (2, None)
    assert complaint in err
    assert err.count("\n") == 1


def test_networks_of_normalised_pixels_are_judged_on_pixels(
    evaluate: Any, tmp_path: Path, weights: Path, digits_net: nn.Sequential
) -> None:
    normal = ("--mean", str(MEAN), "--std", str(STD))
    status, row, err = evaluate(weights, "--arch", "fc_small", *normal)
    assert status == 0
    assert "near chance" not in err
    plain = tmp_path / "plain.safetensors"
    save_file(digits_net.state_dict(), plain)
    _, same, _ = evaluate(plain, "--arch", "fc_small", out="plain")
    for number in ("test_error", "robust_error_low", "robust_error_high"):
        assert row[number] == same[number]
    assert row["radius_low"] == pytest.approx(same["radius_low"], rel=1e-3)


def test_the_file_may_say_the_normalisation(
    evaluate: Any, tmp_path: Path, digits_net: nn.Sequential
) -> None:
    inner = {f"model.{name}": t for name, t in on_normalised_pixels(digits_net).items()}
    normal = {"normalize.mean": torch.tensor([MEAN]), "normalize.std": torch.tensor([STD])}
    torch.save(normal | inner, tmp_path / "whole.pt")
    status, row, _ = evaluate(tmp_path / "whole.pt", "--arch", "fc_small")
    assert status == 0
    assert row["test_error"] < 0.2
    normal_too = ("--mean", "0.1", "--std", "1")
    status, _, err = evaluate(tmp_path / "whole.pt", "--arch", "fc_small", *normal_too, out="b")
    assert status == 2
    assert "itself says mean 0.4 and std 0.25" in err


def test_a_network_that_guesses_is_asked_about(evaluate: Any, weights: Path) -> None:
    status, row, err = evaluate(
        weights, "--arch", "fc_small", "--mean", "50", "--std", "0.01", out="wrong"
    )
    assert status == 0
    assert row["test_error"] > 0.7
    assert "is near chance (90%): was the network trained on normalised pixels" in err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--mean", "0.1"), "--mean and --std belong together"),
        (("--mean", "a", "--std", "1"), "--mean expects numbers between commas, got 'a'"),
        (("--mean", "0", "--std", "0"), "--std expects numbers above 0, got 0"),
        (("--mean", "0,0", "--std", "1,1"), "a number, or one for each of 1 channels, got 2"),
    ],
)
def test_a_normalisation_that_is_none_is_told(
    evaluate: Any, weights: Path, options: Any, complaint: str
) -> None:
    status, row, err = evaluate(weights, "--arch", "fc_small", *options)
    assert (status, row) == (2, None)
    assert complaint in err
    assert err.count("\n") == 1


def test_dense_layers_are_named_by_their_widths(
    evaluate: Any, tmp_path: Path, digits_net: nn.Sequential
) -> None:
    path = tmp_path / "net.safetensors"
    save_file(digits_net.state_dict(), path)
    _, named, _ = evaluate(path, "--arch", "fc_small")
    status, row, _ = evaluate(path, "--arch", "fc:32-32", "--engine", "local", out="by_widths")
    assert status == 0
    assert row["arch"] == "fc:32-32"
    for number in ("test_error", "robust_error_low", "robust_error_high"):
        assert row[number] == named[number]
    status, _, err = evaluate(path, "--arch", "fc:32-x", out="wrong")
    assert status == 2
    assert "fc:500-200" in err
