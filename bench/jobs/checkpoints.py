"""Checkpoints of trainings, and what jobs tell while they run."""

import time
from typing import Any, Protocol, runtime_checkable

from bench.jobs.training import Watcher
from bench.store.results import Store

CHECKPOINT_EVERY = 20.0  # seconds of training that a kill may cost


@runtime_checkable
class Notes(Protocol):
    """Whom a job tells how far it is."""

    def progress(self, done: int, total: int) -> None:
        """After each step."""
        ...

    def note(self, text: str) -> None:
        """What shall be remembered: losses and errors of an epoch, parts that were too large."""
        ...


class Checkpoints(Watcher):
    """Tells a training's progress and keeps checkpoints from which a killed one goes on."""

    def __init__(self, store: Store, key: str, epochs: int, notes: Notes) -> None:
        self.store = store
        self.key = key
        self.epochs = epochs
        self.notes = notes
        self.saved = time.monotonic()

    def resume(self) -> dict[str, Any] | None:
        return self.store.load_checkpoint(self.key)

    def step(self, epoch: int, done: int, total: int) -> None:
        self.notes.progress((epoch - 1) * total + done, self.epochs * total)

    def halved(self, parts: int, reason: str) -> None:
        self.notes.note(f"out of memory, batches in {parts} parts from here on: {reason}")

    def epoch(self, row: dict[str, Any], state: dict[str, Any]) -> None:
        self.notes.note(
            f"epoch {row['epoch']}/{self.epochs} loss {row['loss']:.3f} "
            f"error {row['clean_error']:.1%} PGD {row['pgd_error']:.1%}"
        )
        if time.monotonic() - self.saved > CHECKPOINT_EVERY:
            self.store.save_checkpoint(self.key, state)
            self.saved = time.monotonic()
