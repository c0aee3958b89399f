"""Tables of units, and parts of the work."""

import pytest
import torch

from relu.batching import PART, PaddedBatch, at_once, groups


@pytest.mark.parametrize(
    ("which", "shape"),
    [
        ([2, 2, 3, 3, 3], (2, 3)),
        ([0, 0, 0, 0, 5], (5, 1)),
        ([4], (1, 1)),
        ([1, 1, 2, 2, 3, 3, 5, 5], (5, 2)),
    ],
)
def test_values_come_back_from_the_table(which: list[int], shape: tuple[int, int]) -> None:
    inputs = torch.tensor(which)
    grid = PaddedBatch(inputs)
    assert grid.shape == shape
    values = torch.rand(len(which), 2)
    table = grid.filled(values)
    assert torch.equal(grid.taken(table), values)
    assert table.count_nonzero() == values.numel()
    everyone = torch.arange(10)[grid.inputs]
    whose = everyone.unsqueeze(1).expand(*shape)
    assert torch.equal(grid.taken(whose), inputs)


def test_groups_cover_everything_once() -> None:
    assert list(groups(5, 2)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert list(groups(2, 0)) == [slice(0, 1), slice(1, 2)]
    assert list(groups(0, 3)) == []


def test_a_cpu_takes_what_fits_its_cache() -> None:
    assert at_once(torch.device("cpu")) == PART
