"""Judging piece by piece: what is finished is kept, and what ends its process is passed over.

An evaluator that takes long per input says by `step` how many it wants at once. A job that is
killed then goes on with the piece it was at; one that a piece has killed twice in the same run,
with the one after it.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from bench.jobs.isolation import nothing
from bench.jobs.verdict import joined
from bench.store.results import Store
from evaluators.interface import Evidence

DEADLY = 2  # deaths at one piece, all in one run, after which it is passed over
CRASHED = f"crashed: ended its process {DEADLY} times"


class Pieces:
    """The finished pieces of a judging job, on disk as its checkpoint.

    inputs: what the evidence rests on; pieces that rest on other inputs are forgotten. run: whose
    deaths count: a run that was killed as a whole says nothing of the piece it was at.
    """

    def __init__(self, store: Store, key: str, *, inputs: dict[str, Any], run: str) -> None:
        self.store = store
        self.key = key
        self.run = run
        self.state: dict[str, Any] = {"inputs": inputs, "done": {}, "at": None}
        kept = store.load_checkpoint(key)
        if kept is not None and kept.get("inputs") == inputs:
            self.state = kept

    def judge(
        self,
        judge: Callable[[int, int], Evidence],
        x: Tensor,
        *,
        step: int,
        progress: Callable[[int, int], None],
    ) -> Evidence:
        """All evidence about x: what was kept, and what `judge` says of all other pieces."""
        size = len(x)
        parts = []
        for start in range(0, size, step):
            stop = min(start + step, size)
            if str(start) not in self.state["done"]:
                deadly = self._deadly(start)
                crashed = nothing(x[start:stop], CRASHED)
                evidence = crashed if deadly else self._survived(judge, start, stop)
                self.state["done"][str(start)] = _plain(evidence)
            parts.append(Evidence(**self.state["done"][str(start)]))
            progress(stop, size)
        return joined(parts)

    def _survived(self, judge: Callable[[int, int], Evidence], start: int, stop: int) -> Evidence:
        """A piece's evidence; its exceptions are none of those that end the process."""
        try:
            return judge(start, stop)
        except Exception:
            self.state["at"] = None
            self.store.save_checkpoint(self.key, self.state)
            raise

    def _deadly(self, start: int) -> bool:
        """Notes that a piece is begun; whether it has ended this run's workers before."""
        at = self.state["at"] or {}
        same = at.get("start") == start and at.get("run") == self.run
        deaths = at["deaths"] + 1 if same else 0
        self.state["at"] = {"start": start, "run": self.run, "deaths": deaths}
        self.store.save_checkpoint(self.key, self.state)
        return deaths >= DEADLY


def _plain(evidence: Evidence) -> dict[str, Any]:
    """On the CPU, where it will be read."""
    return {
        name: value.cpu() if isinstance(value, Tensor) else value
        for name, value in vars(evidence).items()
    }
