"""Inputs that a user chose, in the test set's place."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from bench.data.datasets import DataSet
from bench.data.images import images_of, labels_of
from bench.data.npz import NPZ, read_npz
from relu.errors import InputError

CSV = ".csv"
LABEL = "label"  # the column of a CSV that is compared with the data set's labels
EACH = "eps"  # what would be a radius for each input


@dataclass(frozen=True, kw_only=True, eq=False)
class GivenInputs(DataSet):
    """A data set whose "test" part is what a file says."""

    path: str


def given_inputs(data: DataSet, path: Path) -> GivenInputs:
    """The data set with the inputs of a file in place of its test part, in the file's order.

    An npz holds x, images as the data set's, and their labels y; a CSV has a header line, and its
    first column numbers test inputs from 0, the rest but `label` is not looked at. Raises
    InputError for what does not fit, also where a label is not the data set's.
    """
    suffix = path.suffix.lower()
    if suffix not in (NPZ, CSV):
        raise InputError(f"--inputs must name an {NPZ} or {CSV} file, got {str(path)!r}")
    if not path.is_file():
        raise InputError(f"--inputs: there is no file {str(path)!r}")
    x, y = _from_npz(data, path) if suffix == NPZ else _from_csv(data, path)
    return GivenInputs(
        name=data.name,
        classes=data.classes,
        x_train=data.x_train,
        y_train=data.y_train,
        x_test=x,
        y_test=y,
        path=str(path.absolute()),
    )


def _from_npz(data: DataSet, path: Path) -> tuple[Tensor, Tensor]:
    arrays = read_npz(path)
    _require_one_radius(list(arrays), path)
    if missing := [name for name in ("x", "y") if name not in arrays]:
        raise InputError(f"{path}: expected x, images, and y, labels; {missing[0]} is missing")
    channels, height, width = data.shape
    x = images_of(arrays["x"], (channels, height, width), f"{path}: x")
    return x, labels_of(arrays["y"], data.classes, f"{len(x)} images", f"{path}: y")


def _from_csv(data: DataSet, path: Path) -> tuple[Tensor, Tensor]:
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:  # pandas's own errors are ValueErrors
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} is not a readable CSV file: {reason}") from error
    _require_one_radius(list(table.columns), path)
    index = _whole(table.iloc[:, 0], len(data.y_test), f"{path}: {table.columns[0]}")
    if len(np.unique(index)) < len(index):
        raise InputError(f"{path}: {table.columns[0]} has an input twice")
    y = data.y_test[index]
    if LABEL in table:
        labels = _whole(table[LABEL], data.classes, f"{path}: {LABEL}")
        wrong = np.flatnonzero(labels != y.numpy())
        if len(wrong):
            first = int(wrong[0])
            raise InputError(
                f"{path}: {len(wrong)} labels are not those of {data.name}: test input "
                f"{index[first]} has label {int(y[first])}, the file says {labels[first]}"
            )
    return data.x_test[index], y


def _whole(column: "pd.Series[int]", count: int, where: str) -> np.ndarray:
    """Whole numbers from 0 to count - 1."""
    expected = f"expected whole numbers from 0 to {count - 1}"
    if not len(column):
        raise InputError(f"{where}: {expected}, there are none")
    if not pd.api.types.is_integer_dtype(column):
        raise InputError(f"{where}: {expected}, got {column.dtype}")
    if column.min() < 0 or column.max() >= count:
        raise InputError(f"{where}: {expected}, got {column.min()} to {column.max()}")
    return column.to_numpy(dtype=np.int64, copy=True)


def _require_one_radius(names: list[str], path: Path) -> None:
    """Refuses what would else be judged at another radius than the file says."""
    if EACH in names:
        raise InputError(
            f"{path}: a radius for each input ({EACH}) is not supported: give one with --eps, and "
            f"leave {EACH} out"
        )
