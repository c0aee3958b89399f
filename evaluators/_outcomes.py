"""Outcomes of evaluators that work on some inputs and leave the others alone."""

from collections.abc import Sequence
from typing import TypedDict

from jaxtyping import Bool
from torch import Tensor

from evaluators.interface import DECIDED, Status


class Outcomes(TypedDict):
    """The fields of an Evidence that say what became of each input."""

    outcome: Sequence[str]
    status: Sequence[Status]


def worked_on(worked: Bool[Tensor, " n"]) -> Outcomes:
    """Of evaluators that come to their end with every input that they work on."""
    done = worked.tolist()
    return {
        "outcome": ["done" if flag else DECIDED for flag in done],
        "status": ["done" if flag else "skipped" for flag in done],
    }
