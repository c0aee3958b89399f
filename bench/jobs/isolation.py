"""One input's exception costs one input: what raises is judged again in halves, down to it."""

from collections.abc import Callable

import torch
from torch import Tensor

from bench.store.outcome import cause_of
from evaluators.interface import Evidence

HOPELESS = 8  # inputs that raised, and none that did not, after which an evaluator is given up
EVERYBODYS = ("disk", "out of memory")  # causes that are no input's own


class Isolation:
    """Judges parts of a shard; inputs that an evaluator raises on are lost, each for itself.

    Where it raises on every input of the shard, the fault is no input's, and is raised.
    """

    def __init__(self, judge: Callable[[int, int], Evidence], x: Tensor) -> None:
        self.judge_part = judge
        self.x = x
        self.errors: list[Exception] = []
        self.judged = False  # whether any part came to its end

    def judge(self, start: int, stop: int) -> list[Evidence]:
        """Evidence about the inputs from start to stop, in order, in as many parts as it takes."""
        try:
            evidence = self.judge_part(start, stop)
        except Exception as error:
            self._note(error, alone=stop - start == 1)
            if stop - start == 1:
                return [nothing(self.x[start:stop], failed_by(error))]
        else:
            self.judged = True
            return [evidence]
        middle = (start + stop) // 2
        return self.judge(start, middle) + self.judge(middle, stop)

    def require_some(self) -> None:
        """Raises what the evaluator raised first, where it raised on every input."""
        if self.errors and not self.judged:
            raise self.errors[0]

    def _note(self, error: Exception, *, alone: bool) -> None:
        if cause_of(error) in EVERYBODYS:
            raise error
        if self.x.is_cuda:
            torch.cuda.synchronize(self.x.device)  # raises where the card is lost for this process
        if alone:
            self.errors.append(error)
        if len(self.errors) >= HOPELESS:
            self.require_some()


def failed_by(error: Exception) -> str:
    """The outcome of an input that an evaluator raised on."""
    reason = (str(error).strip().splitlines() or [""])[0]
    return f"failed: {type(error).__name__}: {reason}"


def nothing(x: Tensor, outcome: str) -> Evidence:
    """Of inputs that cannot be judged."""
    return Evidence(
        low=torch.zeros(len(x), dtype=torch.float64),
        witness=torch.full_like(x, torch.nan, dtype=torch.float64),
        outcome=[outcome] * len(x),
        seconds=torch.zeros(len(x), dtype=torch.float64),
        status=["failed"] * len(x),
    )
