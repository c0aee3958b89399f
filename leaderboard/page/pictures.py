"""Pictures of inputs, adversarial inputs and their difference, chosen to be telling."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from leaderboard.board.data import RowData, subject_of
from leaderboard.board.inputs import CLEAN, NOBODY, UNDECIDED
from leaderboard.board.pictures import MIDDLE as MIDDLE
from leaderboard.board.pictures import difference, png
from leaderboard.page.subjects import Subject
from relu.errors import InputError

PICTURED = 20  # inputs of each row
EACH = 5  # of each reason but the last, which fills what is left
BUDGET = 3_800_000  # characters of all pictures of a page, so that it opens at once
LARGEST = 64  # pixels of a side; larger images are shown in small


def telling(frame: pd.DataFrame, contradicted: frozenset[int]) -> dict[int, str]:
    """The inputs that deserve a picture, by their places in the frame, and why.

    At most PICTURED: those about which evidence conflicts, undecided ones and widest intervals (the
    widest first), and the nearest witnesses.
    """
    with np.errstate(invalid="ignore"):  # of inputs that nothing can change, inf - inf
        width = (frame["high"] - frame["low"]).fillna(0.0)
    widest = width.sort_values(ascending=False, kind="stable").index
    open_ = frame["verdict"] == UNDECIDED
    seen = np.isfinite(frame["high"]) & frame["correct"].astype(bool)
    nearest = frame["high"][seen].sort_values(kind="stable").index
    wanted = {
        "contradicted": frame.index[frame["index"].isin(contradicted)],
        "undecided": widest[open_.loc[widest]],
        "widest interval": widest[(width > 0).loc[widest] & seen.loc[widest]],
    }
    why: dict[int, str] = {}
    for reason, places in wanted.items():
        fresh = [int(i) for i in places if i not in why]
        why |= dict.fromkeys(fresh[:EACH], reason)
    rest = [int(i) for i in nearest if i not in why]
    return why | dict.fromkeys(rest[: PICTURED - len(why)], "nearest witness")


@dataclass(kw_only=True)
class Album:
    """The pictures of a page. data: where images are from.

    images: name -> a PNG in base64, each once for all rows; missing: what is said of rows without
    pictures.
    """

    data: RowData
    images: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    _size: int = 0

    def of(self, subject: Subject, budget: int) -> list[dict[str, Any]]:
        """A row's pictures: index, why, image (its name), difference (a PNG), scale.

        difference: a grey of MIDDLE + 127 is `scale` more than the image, MIDDLE - 127 as much
        less. budget: how many characters they may take.
        """
        try:
            images = self._images(subject)
        except InputError as error:
            self._miss(str(error))
            return []
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            self._miss(f"inputs of {subject.row.dataset} are no images: there are no pictures")
            return []
        pictures = []
        before = self._size
        for picture in self._pictures(subject, images):
            pictures.append(picture)
            if self._size - before > budget:
                self._miss("some rows have fewer pictures than they might, to keep the page small")
                break
        return pictures

    def _images(self, subject: Subject) -> Tensor:
        """The test inputs that the row is about. Raises InputError."""
        judged = subject.judged
        assert judged is not None
        clean = next(key for key in judged.held if judged.held[key].has("clean", key))
        return self.data.of(subject.row, subject_of(judged.held[clean], clean).held_out).x_test

    def _miss(self, text: str) -> None:
        if text not in self.missing:
            self.missing.append(text)

    def _pictures(self, subject: Subject, images: Tensor) -> Iterator[dict[str, Any]]:
        frame = subject.inputs
        chosen = telling(frame, subject.contradicted)
        witnesses = witnesses_of(subject, list(chosen))
        for i, why in chosen.items():
            index = int(frame["index"][i])
            x = small(images[index])
            name = f"{subject.row.data.get('test')}:{index}"
            if name not in self.images:
                self.images[name] = encoded((x * 255).round())
                self._size += len(self.images[name])
            picture: dict[str, Any] = {"index": index, "why": why, "image": name}
            if index in witnesses:
                moved = small(witnesses[index]) - x
                scale = float(moved.abs().max())
                grey = difference(x, small(witnesses[index]))
                picture |= {"difference": encoded(grey), "scale": round(scale, 6)}
                self._size += len(picture["difference"])
            yield picture


def witnesses_of(subject: Subject, places: Sequence[int]) -> dict[int, Tensor]:
    """The nearest adversarial inputs of some inputs, by their numbers; each file is read once."""
    assert subject.judged is not None
    frame = subject.inputs.loc[list(places)]
    witnesses: dict[int, Tensor] = {}
    for key, part in frame.groupby("high_key"):
        if key == NOBODY:
            continue
        indices, found = subject.judged.held[str(key)].load_witnesses(str(key))
        at = {int(index): i for i, index in enumerate(indices)}
        own = part[part["high_by"] != CLEAN]["index"]
        witnesses |= {int(index): found[at[int(index)]] for index in own if int(index) in at}
    return witnesses


def small(image: Tensor) -> Tensor:
    """The image, with sides of at most LARGEST pixels (means of areas)."""
    if max(image.shape[1:]) <= LARGEST:
        return image
    factor = LARGEST / max(image.shape[1:])
    height, width = (max(1, round(side * factor)) for side in image.shape[1:])
    return torch.nn.functional.adaptive_avg_pool2d(image[None], (height, width))[0]


def encoded(pixels: Tensor) -> str:
    """Pixels from 0 to 255 as a PNG in base64."""
    return base64.b64encode(png(pixels)).decode()
