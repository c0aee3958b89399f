"""What a test may take for granted, whichever others ran before it."""

import subprocess
from pathlib import Path

import pytest
import torch
from torch import Tensor

from relu.classes import others
from tests import FIRST, begin_test

AT_IMPORT = torch.rand(3)
FRESH = torch.rand(3, generator=torch.Generator().manual_seed(0))


def test_what_files_draw_as_they_are_imported_is_always_the_same() -> None:
    torch.testing.assert_close(AT_IMPORT, FRESH, rtol=0, atol=0)


def test_what_a_test_draws_is_always_the_same() -> None:
    torch.testing.assert_close(torch.rand(3), FRESH, rtol=0, atol=0)


def is_checked(y: Tensor) -> bool:
    """Whether a class of the wrong type is told apart before anything is computed."""
    try:
        others(y, 3)
    except Exception as error:
        assert "Type-check" in str(error)
        return True
    return False


def test_types_are_checked_in_every_test_of_the_first_calls_of_a_function(
    pytestconfig: pytest.Config,
) -> None:
    if not pytestconfig.getoption("jaxtyping_packages", None):
        pytest.skip("types are not checked in this run")
    if FIRST > 1000:
        pytest.skip("types are checked in every call of this run")
    right = torch.tensor([0, 1])
    wrong = torch.tensor([0.0, 1.0])
    for _ in range(FIRST - 1):
        assert not is_checked(right)
    assert is_checked(wrong)
    assert not is_checked(right)
    assert not is_checked(wrong)
    begin_test()
    assert is_checked(wrong)


def test_nothing_that_is_tracked_was_built_elsewhere() -> None:
    root = Path(__file__).parents[1]
    listed = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a clone")
    built = (".whl", ".gz", ".zip", ".pyc", ".so")
    assert not [name for name in listed.stdout.splitlines() if name.endswith(built)]
