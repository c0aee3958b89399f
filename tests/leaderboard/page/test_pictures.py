import base64
import io

import numpy as np
import pandas as pd
import torch
from PIL import Image

from bench.plugins.catalogue import Catalogue
from leaderboard.board.data import RowData
from leaderboard.page.pictures import EACH, PICTURED, Album, encoded, small, telling
from leaderboard.page.subjects import Subject


def frame(low: list[float], high: list[float], verdict: list[str]) -> pd.DataFrame:
    count = len(low)
    said = {"index": range(10, 10 + count), "correct": True}
    return pd.DataFrame({"low": low, "high": high, "verdict": verdict, **said})


def test_what_is_telling_worked_out_by_hand() -> None:
    verdict = ["certified", "undecided", "fooled", "fooled", "certified"]
    inputs = frame([0.5, 0.0, 0.1, 0.02, np.inf], [np.inf, 0.6, 0.1, 0.04, np.inf], verdict)
    why = telling(inputs, frozenset({12}))
    assert why == {2: "contradicted", 1: "undecided", 3: "widest interval"}


def test_the_nearest_witnesses_fill_what_is_left() -> None:
    high = [1.0 + i / 100 for i in range(40)]
    why = telling(frame([h - 0.5 for h in high], high, ["fooled"] * 40), frozenset())
    assert len(why) == PICTURED
    nearest = [i for i, reason in why.items() if reason == "nearest witness"]
    assert len(nearest) == PICTURED - EACH
    assert nearest == sorted(nearest)


def test_a_picture_and_its_difference_give_the_witness_back(
    subjects: list[Subject], catalogue: Catalogue
) -> None:
    album = Album(data=RowData(catalogue=catalogue))
    pictures = album.of(subjects[0], 10**6)
    assert len(pictures) == PICTURED
    picture = next(picture for picture in pictures if "difference" in picture)
    clean = read(album.images[picture["image"]])
    moved = (read(picture["difference"]) - 128) / 127 * picture["scale"] * 255
    judged = subjects[0].judged
    assert judged is not None
    indices, witnesses = judged.held["pgd0"].load_witnesses("pgd0")
    (place,) = (indices == picture["index"]).nonzero()[0]
    witness = witnesses[place, 0].numpy() * 255
    assert np.abs(clean + moved - witness).max() < 1


def read(picture: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))), dtype=float)


def test_a_small_budget_gives_fewer_pictures_and_says_so(
    subjects: list[Subject], catalogue: Catalogue
) -> None:
    album = Album(data=RowData(catalogue=catalogue))
    assert len(album.of(subjects[0], 500)) < PICTURED
    assert "fewer pictures" in album.missing[0]


def test_large_images_are_shown_in_small() -> None:
    image = torch.rand(3, 128, 200)
    assert small(image).shape == (3, 41, 64)
    assert small(image[:, :20, :20]).shape == (3, 20, 20)
    assert read(encoded(small(image) * 255)).shape == (41, 64, 3)
