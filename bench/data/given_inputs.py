"""Inputs that a user chose, in the test set's place."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from bench.data.datasets import DataSet
from bench.data.images import images_of, labels_of
from bench.data.npz import NPZ, read_npz
from bench.data.radii import require_inside
from bench.parsing import parse_eps
from relu.errors import InputError
from relu.threat import Norm, Threat

CSV = ".csv"
LABEL = "label"  # the column of a CSV that is compared with the data set's labels
EPS = "eps"  # a radius for each input
SIMILAR = ("eps", "epsilon")  # what is likely meant to be that


@dataclass(frozen=True, kw_only=True, eq=False)
class GivenInputs(DataSet):
    """A data set whose "test" part is what a file says. eps: of each input, None for none."""

    path: str
    eps: Float[Tensor, " m"] | None

    def threat(self, norm: Norm, box: tuple[float, float], count: int) -> Threat:
        """What the first inputs are judged within, each at its own eps. Raises InputError."""
        assert self.eps is not None
        threat = Threat(norm=norm, eps=self.eps[:count], box=box)
        try:
            require_inside(threat, self.name, self.shape)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error
        return threat


def given_inputs(data: DataSet, path: Path) -> GivenInputs:
    """The data set with the inputs of a file in place of its test part, in the file's order.

    An npz holds x, images as the data set's, and their labels y; a CSV has a header line, and its
    first column numbers test inputs from 0, the rest but `label` is not looked at. Either may have
    `eps`, radii in pixel units. Raises InputError for what does not fit, also where a label is not
    the data set's.
    """
    suffix = path.suffix.lower()
    if suffix not in (NPZ, CSV):
        raise InputError(f"--inputs must name an {NPZ} or {CSV} file, got {str(path)!r}")
    if not path.is_file():
        raise InputError(f"--inputs: there is no file {str(path)!r}")
    x, y, eps = _from_npz(data, path) if suffix == NPZ else _from_csv(data, path)
    return GivenInputs(
        name=data.name,
        classes=data.classes,
        x_train=data.x_train,
        y_train=data.y_train,
        x_test=x,
        y_test=y,
        path=str(path.absolute()),
        eps=eps,
    )


def _from_npz(data: DataSet, path: Path) -> tuple[Tensor, Tensor, Tensor | None]:
    arrays = read_npz(path)
    _require_name(list(arrays), path)
    if missing := [name for name in ("x", "y") if name not in arrays]:
        raise InputError(f"{path}: expected x, images, and y, labels; {missing[0]} is missing")
    channels, height, width = data.shape
    x = images_of(arrays["x"], (channels, height, width), f"{path}: x")
    y = labels_of(arrays["y"], data.classes, f"{len(x)} images", f"{path}: y")
    return x, y, _radii(arrays[EPS], len(x), path) if EPS in arrays else None


def _from_csv(data: DataSet, path: Path) -> tuple[Tensor, Tensor, Tensor | None]:
    try:
        table = pd.read_csv(path, dtype={EPS: str}, skipinitialspace=True)
    except (OSError, ValueError) as error:  # pandas's own errors are ValueErrors
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} is not a readable CSV file: {reason}") from error
    _require_name(list(table.columns), path)
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
    eps = _radii(_parsed(table[EPS], path), len(y), path) if EPS in table else None
    return data.x_test[index], y, eps


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


def _parsed(column: "pd.Series[str]", path: Path) -> np.ndarray:
    """Radii as people write them, "0.1" or "4/255"."""
    try:
        return np.array([parse_eps(str(text)) for text in column])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _radii(eps: np.ndarray, count: int, path: Path) -> Tensor:
    """Radii in float64, one for each input."""
    expected = f"{path}: {EPS}: expected {count} positive numbers, one for each input"
    if eps.shape != (count,) or eps.dtype.kind not in "fiu":
        raise InputError(f"{expected}, got {eps.dtype} of shape {eps.shape}")
    radii = eps.astype(np.float64)
    bad = np.flatnonzero(~((radii > 0) & np.isfinite(radii)))
    if len(bad):
        raise InputError(f"{expected}, got {radii[bad[0]]:g} for input {bad[0]}")
    return torch.from_numpy(radii)


def _require_name(names: list[str], path: Path) -> None:
    """Refuses what would else be judged at another radius than the file says."""
    for name in names:
        if name.strip().lower() in SIMILAR and name != EPS:
            raise InputError(f"{path}: a radius for each input is called {EPS}, got {name!r}")
