"""A part of the training set that is held out, to choose settings without the test set."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from bench.data.datasets import DataSet
from relu.errors import InputError

SEED = 0  # of the draw: one split for each data set and share
TRACKS: Mapping[str, int] = {"gts": 1307}
"""Data set -> tracks in its training set: consecutive images of a class that show one object."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut(DataSet):
    """A data set whose "test" part is this share of its training set, which is now the rest.

    whole: the data set as it was.
    """

    share: float
    whole: DataSet


def hold_out(data: DataSet, share: float) -> HeldOut:
    """Holds out this share of each class's training images; the test set is left behind.

    At least one unit of a class is held out and one is not; a class that has but one trains. A
    unit is an image or, in `TRACKS`, a track of as many images as there are per track, in the
    order of the training set. The rest keeps its order; held-out images come in a random one, as
    the first of them shall stand for all. Raises InputError where no class has two images.
    """
    assert 0 < share < 1, share
    labels = data.y_train.numpy()
    units = _units(data)
    draw = np.random.RandomState(SEED)  # whose numbers stay the same from version to version
    of_class = [np.unique(units[labels == label]) for label in range(data.classes)]
    held = np.isin(units, np.concatenate([_sample(members, share, draw) for members in of_class]))
    if not held.any():
        raise InputError(f"{data.name}: no class has two training images, so none is held out")
    kept = torch.from_numpy(np.flatnonzero(~held))
    out = torch.from_numpy(draw.permutation(np.flatnonzero(held)))
    return HeldOut(
        name=data.name,
        classes=data.classes,
        share=share,
        whole=data,
        x_train=data.x_train[kept],
        y_train=data.y_train[kept],
        x_test=data.x_train[out],
        y_test=data.y_train[out],
    )


def parse_share(text: str) -> float:
    """A share strictly between 0 and 1. Raises InputError."""
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise InputError(f"--held-out expects a share between 0 and 1, got {text!r}")
    return share


def _sample(units: np.ndarray, share: float, draw: np.random.RandomState) -> np.ndarray:
    count = min(max(1, round(share * len(units))), len(units) - 1)
    return draw.permutation(units)[: max(0, count)]


def _units(data: DataSet) -> np.ndarray:
    """The number of the unit that each training image belongs to, none in two classes."""
    labels = data.y_train.numpy()
    units = np.empty(len(data.y_train), dtype=np.int64)
    frames = max(1, round(len(labels) / TRACKS.get(data.name, len(labels))))  # sets may be thinned
    for label in range(data.classes):
        (place,) = np.nonzero(labels == label)
        size = frames if len(place) > frames else 1
        units[place] = label * len(labels) + np.arange(len(place)) // size
    return units
