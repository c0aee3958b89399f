"""Data sets that are a file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

from bench.__main__ import main
from bench.data.datasets import load
from bench.data.npz import with_file
from bench.data.sources import SOURCES
from relu.errors import InputError
from relu.network.architectures import build

RNG = np.random.default_rng(0)


def images(count: int, *sides: int) -> np.ndarray:
    return RNG.random((count, *sides)).astype(np.float32)


def written(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def whole(path: Path, *sides: int, **changes: Any) -> Path:
    """A file with 30 training and 10 test images, labelled by the brightness of a corner."""
    arrays: dict[str, Any] = {}
    for part, count in (("train", 30), ("test", 10)):
        x = images(count, *sides)
        arrays |= {f"x_{part}": x, f"y_{part}": (x.reshape(count, -1)[:, 0] > 0.5).astype(int)}
    return written(path, **arrays | changes)


@pytest.mark.parametrize(
    ("sides", "shape"),
    [
        ((1, 6, 5), (1, 6, 5)),
        ((6, 5), (1, 6, 5)),
        ((6, 5, 3), (3, 6, 5)),
        ((3, 6, 5), (3, 6, 5)),
        ((7,), (1, 1, 7)),
    ],
)
def test_its_name_shape_and_classes_are_the_files(
    tmp_path: Path, sides: tuple[int, ...], shape: tuple[int, int, int]
) -> None:
    sources = with_file(SOURCES, whole(tmp_path / "my_set.npz", *sides))
    data = load("my_set", None, sources)
    assert (data.name, data.shape, data.classes) == ("my_set", shape, 2)
    assert len(data.x_train) == 30
    assert sources["my_set"].eps == {}


def test_channels_that_come_last_are_moved(tmp_path: Path) -> None:
    x = images(10, 6, 5, 3)
    y = np.arange(10) % 4
    data = load("a", None, with_file(SOURCES, written(tmp_path / "a.npz", x=x, y=y)))
    assert data.classes == 4
    assert data.x_test[3, 2, 4, 1] == x[3, 4, 1, 2]


def test_a_file_named_like_a_known_data_set_is_that_set(tmp_path: Path) -> None:
    file = whole(tmp_path / "mnist.npz", 28, 28)
    sources = with_file(SOURCES, file)
    assert sources["mnist"].eps == SOURCES["mnist"].eps
    assert load("mnist", file, sources).classes == 10


def test_other_sets_are_looked_for_where_they_are_without_a_folder(tmp_path: Path) -> None:
    file = whole(tmp_path / "a.npz", 4, 4)
    assert load("digits", file, with_file(SOURCES, file)).shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"x_train": images(29, 4, 4)}, "29 train images but labels of shape"),
        ({"x_test": images(10, 4, 5)}, "expected images of shape"),
        ({"y_test": np.linspace(0, 1, 10)}, "labels must be integers"),
        ({"x": images(10, 4, 4)}, "x and x_test"),
        ({"x_test": 300 * images(10, 4, 4)}, r"pixels must be uint8 or floats in \[0, 1\]"),
        ({"x_test": images(10, 4, 4, 4, 4)}, "expected images of channels"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    file = whole(tmp_path / "a.npz", 4, 4, **changes)
    with pytest.raises(InputError, match=complaint) as caught:
        load("a", None, with_file(SOURCES, file))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--data must name a folder, or a file of images"):
        with_file(SOURCES, tmp_path / "gone.npz")
    with pytest.raises(InputError, match="x_test is missing"):
        with_file(SOURCES, written(tmp_path / "b.npz", pixels=images(3, 4, 4)))
    (tmp_path / "c.npz").write_text("<html>")
    with pytest.raises(InputError, match="is a web page"):
        with_file(SOURCES, tmp_path / "c.npz")
    with pytest.raises(InputError, match="is called by letters"):
        with_file(SOURCES, whole(tmp_path / "a b.npz", 4, 4))


def _main(*arguments: str, out: Path) -> int:
    return main([*arguments, "--engine", "inline", "--eval", "pgd", "--out", str(out)])


def test_a_file_is_trained_and_judged_on_without_its_name(tmp_path: Path) -> None:
    file = whole(tmp_path / "corners.npz", 4, 4)
    train = ("--arch", "fc_small", "--epochs", "2")
    command = ("run", "--methods", "plain", "--data", str(file), *train)
    assert _main(*command, "--eps", "0.01", out=tmp_path / "out") == 0
    (row,) = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert (row["dataset"], row["points"], row["eps"]) == ("corners", 10, 0.01)


def test_its_radius_must_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = whole(tmp_path / "corners.npz", 4, 4)
    command = ("run", "--methods", "plain", "--data", str(file))
    assert _main(*command, out=tmp_path / "out") == 2
    assert "--eps is needed: corners has no usual radius for linf" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_inputs_alone_are_judged_and_not_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / "inputs.npz", x=images(5, 4, 4), y=np.arange(5) % 3)
    net = tmp_path / "net.safetensors"
    save_file(build("fc_small", (1, 4, 4), 3).state_dict(), net)
    data = ("--data", str(file), "--eps", "0.01")
    judge = ("eval", str(net), "--arch", "fc_small", *data)
    assert _main(*judge, out=tmp_path / "out") == 0
    (row,) = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert row["points"] == 5
    assert _main("run", "--methods", "plain", *data, out=tmp_path / "other") == 2
    assert "inputs has no training images" in capsys.readouterr().err
