"""The card that the tests of this folder use, in the state in which jobs find it."""

import os
from collections.abc import Iterator

import pytest
import torch

from bench.jobs.job import Job
from bench.jobs.surroundings import own_state


@pytest.fixture
def card() -> Iterator[torch.device]:
    """The first card. Skips the test where there is none."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with own_state(Job(kind="judge", key="0" * 24, settings={})):
        torch.use_deterministic_algorithms(True, warn_only=True)
        yield torch.device("cuda", 0)
    torch.use_deterministic_algorithms(before)
