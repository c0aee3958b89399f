import dataclasses

import numpy as np
import pytest
import torch

from bench.data.datasets import DataSet
from bench.data.holdout import SEED, TRACKS, HeldOut, hold_out, parse_share
from relu.errors import InputError


def made(labels: list[int], name: str = "digits") -> DataSet:
    """A data set whose images are all of one number, their place in the training set."""
    x = torch.arange(len(labels)).float().view(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous()
    y = torch.tensor(labels)
    return DataSet(name=name, classes=10, x_train=x, y_train=y, x_test=x[:1] - 9, y_test=y[:1])


def places(data: HeldOut) -> tuple[list[int], list[int]]:
    """Which images train, and which are held out."""
    return (
        data.x_train[:, 0, 0, 0].int().tolist(),
        data.x_test[:, 0, 0, 0].int().tolist(),
    )


def test_the_parts_are_disjoint_complete_and_stratified(digits: DataSet) -> None:
    parts = hold_out(digits, 0.1)
    assert len(parts.y_train) + len(parts.y_test) == len(digits.y_train)
    counts = digits.y_train.bincount()
    held = parts.y_test.bincount(minlength=10)
    assert held.tolist() == [round(0.1 * int(n)) for n in counts]
    images = torch.cat([parts.x_train, parts.x_test]).flatten(1).sum(1).sort().values
    assert torch.equal(images, digits.x_train.flatten(1).sum(1).sort().values)


def test_the_rest_keeps_its_order_and_the_held_out_images_are_mixed() -> None:
    kept, held = places(hold_out(made([0] * 50 + [1] * 50), 0.2))
    assert kept == sorted(kept)
    assert held != sorted(held)
    assert sorted(kept + held) == list(range(100))
    assert min(held[:10]) < 50 <= max(held[:10])  # the first few are of both classes


def test_the_draw_is_the_same_every_time_and_depends_on_the_share(digits: DataSet) -> None:
    first, again, more = (hold_out(digits, share) for share in (0.1, 0.1, 0.2))
    for part in ("train", "test"):
        assert first.fingerprint(part) == again.fingerprint(part) != more.fingerprint(part)
    assert SEED == 0
    assert places(hold_out(made([0] * 20), 0.2))[1] == [8, 1, 19, 18]  # for ever


def test_the_test_set_plays_no_part(digits: DataSet) -> None:
    other = dataclasses.replace(
        digits, x_test=torch.zeros_like(digits.x_test), y_test=torch.zeros_like(digits.y_test)
    )
    one = hold_out(digits, 0.1)
    two = hold_out(other, 0.1)
    assert torch.equal(one.x_test, two.x_test)
    assert torch.equal(one.x_train, two.x_train)


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_every_class_with_two_images_is_in_both_parts(share: float) -> None:
    labels = [0, 1, 0, 2, 2, 2, 2, 9]
    kept, held = places(hold_out(made(labels), share))
    assert {labels[i] for i in held} == {0, 2}
    assert {labels[i] for i in kept} == {0, 1, 2, 9}


@pytest.mark.parametrize("frames", [10, 30])
def test_whole_tracks_of_traffic_signs_are_held_out(frames: int) -> None:
    tracks = [200, 107, *[125] * 8]
    assert sum(tracks) == TRACKS["gts"]
    labels = [label for label, count in enumerate(tracks) for _ in range(count * frames)]
    kept, held = (np.array(part) // frames for part in places(hold_out(made(labels, "gts"), 0.1)))
    assert not set(kept) & set(held)
    counts = np.bincount(np.array(labels)[np.unique(held) * frames])
    assert counts.tolist() == [20, 11, *[12] * 8]


def test_nothing_can_be_held_out_of_single_images() -> None:
    with pytest.raises(InputError, match="digits: no class has two training images"):
        hold_out(made([0, 1, 2]), 0.5)


def test_a_share_lies_between_0_and_1() -> None:
    assert parse_share("0.25") == 0.25
    for text in ("0", "1", "-0.1", "nan", "inf", "some", ""):
        with pytest.raises(InputError, match=r"--held-out expects a share between 0 and 1, got"):
            parse_share(text)
