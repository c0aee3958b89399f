"""Parts of vectors against torch's own indexing, and their gradients."""

import pytest
import torch
from torch import Tensor

from relu.network.selection import Part, Parts, selection_of

CPU = torch.device("cpu")
PARTS: list[Part] = [
    slice(0, 12),
    slice(4, 8),
    slice(3, 10),
    torch.tensor([4, 5, 6, 7, 0, 1, 2, 3]),
    torch.tensor([8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7]),
    torch.tensor([2, 2, 7]),
    torch.tensor([11]),
]


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_entries_are_taken_and_placed(part: Part) -> None:
    selection = selection_of(part, 12, CPU)
    g = torch.randn(3, 12, dtype=torch.float64, requires_grad=True)
    taken = selection.taken(g)
    assert torch.equal(taken, g[:, part])
    matrix = torch.eye(12, dtype=torch.float64)[part]
    r = torch.randn_like(taken).requires_grad_()
    assert torch.equal(selection.placed(r), r @ matrix)
    assert torch.autograd.gradcheck(selection.taken, g)
    assert torch.autograd.gradcheck(selection.placed, r)


def test_runs_are_as_long_as_can_be() -> None:
    assert selection_of(torch.tensor([4, 5, 6, 7, 0, 1, 2, 3]), 12, CPU).width == 4
    assert selection_of(torch.tensor([4, 5, 6, 7, 1, 2]), 12, CPU).width == 1


def test_terms_on_equal_disjoint_and_overlapping_parts_add_up() -> None:
    parts: list[Part] = [*PARTS[1:], slice(0, 4), torch.tensor([4, 5, 6, 7])]
    together = Parts(parts, 12, CPU)
    values: list[Tensor] = [
        torch.randn(2, len(torch.arange(12)[part]), dtype=torch.float64) for part in parts
    ]
    eye = torch.eye(12, dtype=torch.float64)
    expected = sum(
        (value @ eye[part] for value, part in zip(values, parts, strict=True)),
        torch.zeros(2, 12, dtype=torch.float64),
    )
    assert torch.allclose(together.total(values), expected, rtol=1e-14)
    g = torch.randn(2, 12)
    for taken, part in zip(together.taken(g), parts, strict=True):
        assert torch.equal(taken, g[:, part])
