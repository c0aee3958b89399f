"""Images and labels in npz files, and data sets that are such a file."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.data.sources import HEAD, Arrays, Source, placeholder
from relu.errors import InputError

NPZ = ".npz"
PARTS = ("x_train", "y_train", "x_test", "y_test")
TEST_ALONE = {"x": "x_test", "y": "y_test"}  # names in a file of inputs that are only judged
CHANNELS = (1, 3)  # that tell channels from heights and widths


def read_npz(path: Path) -> Arrays:
    """The arrays in the file, under their names. Raises InputError."""
    try:
        if (what := placeholder_in(path)) is not None:
            raise InputError(f"{path} {what}")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except InputError:
        raise
    except (OSError, ValueError, EOFError, AttributeError) as error:
        reason = str(error)
        if "Object arrays" in reason:
            reason = "an array in it holds Python objects, which are never opened: save numbers"
        raise InputError(f"{path} is not a readable npz file: {reason}") from error
    except Exception as error:  # zipfile and zlib raise errors of their own for damaged archives
        raise InputError(f"{path} is damaged: {error}") from error


def placeholder_in(file: Path) -> str | None:
    """What the file is in place of what its name says, and what helps; else None."""
    with file.open("rb") as opened:
        return placeholder(opened.read(HEAD))


def with_file(sources: Mapping[str, Source], path: Path) -> dict[str, Source]:
    """The data sets, and one under the file's name that is this file.

    One that is known by that name keeps its shape, classes and radii. Of another, shape and classes
    are those of the images and labels in the file, and there is no usual radius. A file without
    training images, or with x and y alone, can be judged and not trained on. Raises InputError.
    """
    if not path.is_file():
        raise InputError(expected_data(path))
    if not re.fullmatch(r"[\w.+-]+", path.stem):
        raise InputError(f"--data {path}: a data set is called by letters, digits, _ . + and -")
    arrays = _parts(read_npz(path), path)
    known = sources.get(path.stem)
    source = _source(path, arrays) if known is None else known
    read = dataclasses.replace(source, file=path, read=lambda folder, download: arrays)
    return {**sources, path.stem: read}


def expected_data(path: Path) -> str:
    """The line for what is neither a folder nor a file of images."""
    return f"--data must name a folder, or a file of images ({NPZ}), got {str(path)!r}"


def _parts(arrays: Arrays, path: Path) -> Arrays:
    """The four parts of a data set; without training images these are none."""
    renamed = {TEST_ALONE.get(name, name): array for name, array in arrays.items()}
    if len(renamed) < len(arrays):
        raise InputError(f"{path} has x and x_test, or y and y_test: which are meant?")
    for name in ("x_test", "y_test"):
        if name not in renamed:
            expected = f"expected {', '.join(PARTS)}, or x and y"
            raise InputError(f"{path}: {expected}, {name} is missing")
    x = renamed["x_test"]
    if x.ndim == 2:  # features in a row
        renamed |= {k: a[:, None, :] for k, a in renamed.items() if k[:2] == "x_" and a.ndim == 2}
    if "x_train" not in renamed and "y_train" not in renamed:
        none = {"x_train": renamed["x_test"][:0], "y_train": renamed["y_test"][:0]}
        renamed |= none
    return {name: renamed[name] for name in PARTS if name in renamed}


def _source(path: Path, arrays: Arrays) -> Source:
    parts = [arrays[name].ravel() for name in ("y_train", "y_test") if name in arrays]
    labels = np.concatenate(parts)
    if not np.issubdtype(labels.dtype, np.integer) or not len(labels) or labels.min() < 0:
        raise InputError(f"{path} y_test: labels must be integers from 0, got {labels.dtype}")
    return Source(
        summary=f"the images in {path.name}",
        shape=_shape(path, arrays["x_test"].shape[1:]),
        classes=max(2, int(labels.max()) + 1),
        arch="fc1",
        eps={},
        read=lambda folder, download: arrays,
    )


def _shape(path: Path, sides: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width; of three sides, channels come last only where they must."""
    if len(sides) == 2:
        return 1, sides[0], sides[1]
    if len(sides) != 3:
        raise InputError(
            f"{path} x_test: expected images of channels x height x width, height x width, or rows "
            f"of features, got {sides}"
        )
    if sides[0] not in CHANNELS and sides[2] in CHANNELS:
        return sides[2], sides[0], sides[1]
    return sides[0], sides[1], sides[2]
