import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data import sources
from bench.data.datasets import DataSet, augment, load
from bench.data.sources import SOURCES
from relu.errors import InputError


def arrays(name: str, count: int = 6) -> dict[str, np.ndarray]:
    """A valid little npz archive's contents."""
    channels, height, width = SOURCES[name].shape
    rng = np.random.default_rng(0)
    return {
        f"{kind}_{part}": (
            rng.integers(0, 256, (count, height, width, channels), dtype=np.uint8)
            if kind == "x"
            else rng.integers(0, SOURCES[name].classes, count)
        )
        for part in ("train", "test")
        for kind in ("x", "y")
    }


def write(folder: Path, name: str, **changes: object) -> Path:
    np.savez(folder / f"{name}.npz", **(arrays(name) | changes))  # type: ignore[arg-type]
    return folder


def test_digits_are_real_split_by_class_and_in_their_order(digits: DataSet) -> None:
    assert digits.x_train.shape == (1352, 1, 8, 8)
    assert digits.x_test.shape == (445, 1, 8, 8)
    assert digits.x_test.min() == 0
    assert digits.x_test.max() == 1
    counts = digits.y_test.bincount(minlength=10)
    assert counts.min() >= 43
    assert counts.max() <= 45
    assert digits.y_test[:8].tolist() == [0, 9, 5, 6, 8, 4, 1, 7]


def test_npz_archives_are_read_in_their_order(tmp_path: Path) -> None:
    contents = arrays("gts")
    np.savez(tmp_path / "gts.npz", **contents)  # type: ignore[arg-type]
    data = load("gts", tmp_path)
    assert data.shape == (3, 32, 32)
    assert data.y_test.tolist() == contents["y_test"].tolist()
    pixel = torch.tensor(int(contents["x_test"][3, 5, 7, 2])) / 255
    assert data.x_test[3, 2, 5, 7] == pixel


def test_the_fingerprint_tells_parts_and_pixels_apart(tmp_path: Path) -> None:
    first = load("mnist", write(tmp_path, "mnist"))
    again = load("mnist", tmp_path)
    x = arrays("mnist")["x_test"]
    x[0, 0, 0] ^= 1
    other = load("mnist", write(tmp_path, "mnist", x_test=x))
    assert first.fingerprint("test") == again.fingerprint("test") != other.fingerprint("test")
    assert first.fingerprint("train") == other.fingerprint("train") != first.fingerprint("test")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"y_test": np.array([0, 1, 2, 3, 4, 10])}, "labels must be integers from 0 to 9"),
        ({"y_test": np.array([0, 1, 2, 3, 4, -1])}, "labels must be integers from 0 to 9"),
        ({"y_test": np.zeros(6)}, "labels must be integers"),
        ({"y_test": np.zeros(5, dtype=int)}, "6 test images but labels of shape"),
        ({"x_train": np.full((6, 28, 28), 1.5)}, r"floats in \[0, 1\], got values from 1.5 to 1.5"),
        ({"x_train": np.full((6, 28, 28), np.nan)}, r"floats in \[0, 1\]"),
        ({"x_train": np.full((6, 28, 28), 1 + 1e-12)}, r"floats in \[0, 1\]"),
        ({"x_train": np.zeros((6, 28, 28), dtype=int)}, "uint8 or floats in .*, got int64"),
        ({"x_train": np.full((6, 28, 28), "a")}, "uint8 or floats in"),
        ({"y_test": np.array(["a"] * 6)}, "labels must be integers"),
        ({"x_test": np.zeros((6, 32, 32), dtype=np.uint8)}, "expected images of shape"),
        (
            {"x_test": np.ones((6, 28, 28), dtype=np.uint8)},
            "x_test: uint8 .* largest here is 1: mul",
        ),
        ({"x_train": np.eye(28)[None].repeat(6, 0).astype(np.uint8)}, "x_train: uint8 .* or save"),
        (
            {"x_test": np.full((6, 28, 28), 1 / 255)},
            "largest here is 0.00392157: divided by 255 tw",
        ),
        (
            {"x_test": np.full((6, 28, 28), 255.0)},
            "from 255 to 255: divide by 255, or save as uint",
        ),
        ({"x_test": np.full((6, 28, 28), np.nan)}, "got 4704 that are NaN or infinite"),
        ({"x_test": np.full((6, 28, 28), np.inf)}, "got 4704 that are NaN or infinite"),
        ({"x_test": np.zeros((6, 28, 28), dtype=bool)}, "got bool: save them with astype"),
        ({"x_test": np.zeros((0, 28, 28))}, "x_test: there are no images in it"),
        ({"y_test": np.array([{}] * 6, dtype=object)}, "holds Python objects, which are never"),
        ({"y_test": np.eye(6, dtype=int)}, r"6 test images but labels of shape \(6, 6\)"),
    ],
)
def test_wrong_contents_are_named(
    tmp_path: Path, changes: dict[str, np.ndarray], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        load("mnist", write(tmp_path, "mnist", **changes))
    assert str(caught.value).startswith(str(tmp_path / "mnist.npz"))
    assert "\n" not in str(caught.value)


def test_black_images_and_floats_from_0_to_1_are_data(tmp_path: Path) -> None:
    for x in (np.zeros((6, 28, 28), dtype=np.uint8), np.eye(28)[None].repeat(6, 0)):
        data = load("mnist", write(tmp_path, "mnist", x_test=x))
        assert data.x_test.max() == x.max()


def test_built_in_data_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache" / "relu-bench"
    cache.mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    for folder, given in ((tmp_path, tmp_path), (cache, None)):
        write(folder, "digits")
        with pytest.raises(InputError, match=r"digits.npz would take the place of the digits that"):
            load("digits", given)
        (folder / "digits.npz").unlink()
    assert len(load("digits", tmp_path).y_test) == 445


@pytest.mark.parametrize("text", ["", "version https://git-lfs.github.com/spec/v1\noid", "<html>"])
def test_what_lies_in_a_data_files_place_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "mnist.npz").write_text(text)
    with pytest.raises(InputError, match=r"mnist.npz is (empty|a Git LFS pointer|a web page)"):
        load("mnist", tmp_path)
    (tmp_path / "mnist.npz").unlink()
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_text(text)
    with pytest.raises(InputError, match=r"-ubyte is (empty|a Git LFS pointer|a web page)"):
        load("mnist", tmp_path)
    (raw / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
    with pytest.raises(InputError, match="a file of mnist is missing or damaged") as caught:
        load("mnist", tmp_path)
    assert "download=True" not in str(caught.value)


def test_a_missing_array_and_a_torn_archive_are_named(tmp_path: Path) -> None:
    contents = arrays("mnist")
    del contents["y_train"]
    np.savez(tmp_path / "mnist.npz", **contents)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="y_train is missing"):
        load("mnist", tmp_path)
    whole = (write(tmp_path, "mnist") / "mnist.npz").read_bytes()
    for keep in (0, 10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "mnist.npz").write_bytes(whole[:keep])
        with pytest.raises(InputError, match=r"mnist\.npz"):
            load("mnist", tmp_path)


def test_pickled_arrays_are_never_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        load("mnist", write(tmp_path, "mnist", y_test=np.array([{}] * 6, dtype=object)))


def test_a_missing_set_without_a_network_says_what_was_looked_for_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr(sources.torchvision_datasets(), "CIFAR10", offline)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(InputError) as caught:
        load("cifar10", tmp_path)
    for part in ("cifar10.npz", "cifar-10-batches-py", str(tmp_path), "no network", "--data DIR"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("cache/relu-bench/*"))


def write_idx(path: Path, values: np.ndarray) -> None:
    """The file format of MNIST, one byte per entry."""
    header = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(header + values.astype(np.uint8).tobytes())


def test_torchvisions_layout_of_mnist_is_read(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    contents = arrays("mnist")
    for part, name in (("train", "train"), ("test", "t10k")):
        write_idx(raw / f"{name}-images-idx3-ubyte", contents[f"x_{part}"][..., 0])
        write_idx(raw / f"{name}-labels-idx1-ubyte", contents[f"y_{part}"])
    data = load("mnist", tmp_path)
    assert torch.equal(data.y_test, torch.from_numpy(contents["y_test"]))
    assert torch.equal(data.x_test[:, 0], torch.from_numpy(contents["x_test"][..., 0]) / 255)
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"\0")
    with pytest.raises(InputError, match="cannot be read"):
        load("mnist", tmp_path)


def test_torchvisions_layout_of_gtsrb_is_read_resized_and_in_order(tmp_path: Path) -> None:
    root = tmp_path / "gtsrb" / "GTSRB"
    images = root / "Final_Test" / "Images"
    images.mkdir(parents=True)
    labels = [3, 0, 42]
    lines = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for i, label in enumerate(labels):
        Image.new("RGB", (40 + i, 50), (10 * i, 20, 30)).save(images / f"{i:05}.ppm")
        lines.append(f"{i:05}.ppm;40;50;0;0;40;50;{label}")
        folder = root / "Training" / f"{i:05}"
        folder.mkdir(parents=True)
        Image.new("RGB", (33, 35), (0, i, 0)).save(folder / "00000.ppm")
    (tmp_path / "gtsrb" / "GT-final_test.csv").write_text("\n".join(lines) + "\n")
    data = load("gts", tmp_path)
    assert data.y_test.tolist() == labels
    assert data.x_test.shape == (3, 3, 32, 32)
    assert torch.allclose(data.x_test[2, 0], torch.tensor(20 / 255))


def test_data_given_by_name_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(gzip.compress(b""))
    with pytest.raises(InputError, match="--data must name a folder"):
        load("digits", tmp_path / "file")


def test_shifted_images_are_moved_and_no_more() -> None:
    x = torch.rand(60, 1, 6, 6)
    padded = torch.nn.functional.pad(x, [1] * 4)
    seen = set()
    for image, whole in zip(augment(x, pad=1, mirror=False), padded, strict=True):
        places = [
            (row, column)
            for row in range(3)
            for column in range(3)
            if torch.equal(image, whole[:, row : row + 6, column : column + 6])
        ]
        assert len(places) == 1
        seen |= set(places)
    assert len(seen) > 6


def test_augmented_images_are_crops_and_mirrors_of_the_padded_ones() -> None:
    x = torch.rand(40, 2, 6, 6)
    padded = torch.nn.functional.pad(x, [2] * 4)
    seen = set()
    for image, whole in zip(augment(x), padded, strict=True):
        matches = [
            (row, column, mirrored)
            for row in range(5)
            for column in range(5)
            for mirrored in (False, True)
            if torch.equal(
                image.flip(2) if mirrored else image, whole[:, row : row + 6, column : column + 6]
            )
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 15
