"""The one training loop: Adam, a learning rate that falls by 10 at the end, seeds, history."""

import math
import time
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from bench.data.datasets import DataSet, augment
from bench.jobs.batch_statistics import BatchStatistics
from bench.jobs.out_of_memory import free_cached_memory, in_parts
from bench.plugins.settings import Training
from bench.store.outcome import is_out_of_memory
from bench.store.results import Store
from methods.interface import Method
from relu.attacks.pgd import ascend
from relu.classes import margins
from relu.threat import Threat

WATCHED = 256  # training inputs on which each epoch's errors are measured
WATCH_STEPS = 10  # PGD steps of that measurement
LAST_PART = 0.9  # from here on the learning rate is divided by 10 [CAH19, Appendix B]


class Diverged(RuntimeError):
    """A training whose loss or weights are no longer finite; the message names the epoch."""

    cause = "diverged"


class BadLoss(RuntimeError):
    """A method whose loss is no scalar tensor."""

    cause = "bad result"


class Watcher:
    """What the loop tells, and asks for, while it runs; this one does nothing."""

    def resume(self) -> dict[str, Any] | None:
        """The state of an earlier, unfinished run of the same training."""
        return None

    def step(self, epoch: int, done: int, total: int) -> None:
        """After each mini-batch."""

    def halved(self, parts: int, reason: str) -> None:
        """When a mini-batch does not fit into memory, and is computed in so many parts instead."""

    def epoch(self, row: dict[str, Any], state: dict[str, Any]) -> None:
        """After each epoch: its line of the history, and the state that `resume` may return."""


def train(
    net: nn.Module,
    method: Method,
    data: DataSet,
    *,
    threat: Threat,
    training: Training,
    seed: int,
    augmented: bool,
    watcher: Watcher | None = None,
) -> list[dict[str, Any]]:
    """Trains `net` in place, on the device it is on; the history, a row per epoch.

    Every epoch seeds torch from (seed, epoch), so that two runs on one machine are bit-identical
    and a resumed run equals an undisturbed one. A row holds epoch (from 1), loss (mean over the
    epoch), clean_error and pgd_error (shares, on WATCHED training inputs), lr and seconds.
    Raises Diverged where the loss is NaN or infinite, BadLoss where it is no scalar.
    """
    watcher = watcher or Watcher()
    device = next(net.parameters()).device
    x = data.x_train.to(device)
    y = data.y_train.to(device)
    # Fused, as its square roots are those of IEEE 754; MKL's differ from CPU to CPU in last bits.
    adam = torch.optim.Adam(net.parameters(), lr=training.lr, fused=True)
    history: list[dict[str, Any]] = []
    if (state := watcher.resume()) is not None:
        net.load_state_dict(state["net"])
        adam.load_state_dict(state["adam"])
        history = state["history"]
    step = _Step(net, method, threat, watcher)
    for epoch in range(len(history), training.epochs):
        started = time.perf_counter()
        loss = _epoch(step, x, y, training, seed, epoch, augmented, adam)
        _require_finite(net, loss, epoch + 1, training.epochs)
        clean_error, pgd_error = _errors(net, x[:WATCHED], y[:WATCHED], threat, seed)
        row = {
            "epoch": epoch + 1,
            "loss": loss,
            "clean_error": clean_error,
            "pgd_error": pgd_error,
            "lr": adam.param_groups[0]["lr"],
            "seconds": time.perf_counter() - started,
        }
        history.append(row)
        watcher.epoch(row, {"net": net.state_dict(), "adam": adam.state_dict(), "history": history})
    return history


class _Step:
    """Gradients of mini-batches, in as many parts as memory asks for.

    Batch norm has the statistics of the whole clean batch in all of them.
    """

    def __init__(self, net: nn.Module, method: Method, threat: Threat, watcher: Watcher) -> None:
        self.statistics = BatchStatistics(net)
        self.method = method
        self.threat = threat
        self.watcher = watcher
        self.parts = 1

    def gradient(self, x: Tensor, y: Tensor, progress: float) -> Tensor:
        """Sets the parameters' gradients to those of the batch's mean loss, which it returns."""
        self.statistics.measure(x)
        loss = self._as_fits(x, y, progress)
        self.statistics.backward()
        return loss

    def _as_fits(self, x: Tensor, y: Tensor, progress: float) -> Tensor:
        while True:
            self.statistics.zero_grad()
            try:
                return self._in_parts(x, y, progress)
            except Exception as error:
                if not is_out_of_memory(error) or self.parts >= len(x):
                    raise
                reason = str(error).partition("\n")[0]
            self.parts *= 2
            free_cached_memory()
            self.watcher.halved(self.parts, reason)

    def _in_parts(self, x: Tensor, y: Tensor, progress: float) -> Tensor:
        net = self.statistics.net
        total = torch.zeros((), device=x.device)
        for some_x, some_y in zip(x.chunk(self.parts), y.chunk(self.parts), strict=True):
            loss = self.method.loss(net, some_x, some_y, threat=self.threat, progress=progress)
            if not isinstance(loss, Tensor) or loss.shape != ():
                got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
                name = type(self.method).__name__
                raise BadLoss(f"{name}.loss: expected a scalar loss, got {got}")
            loss = loss * (len(some_x) / len(x)) if self.parts > 1 else loss
            loss.backward()
            total += loss.detach()
        return total


def _epoch(
    step: _Step,
    x: Tensor,
    y: Tensor,
    training: Training,
    seed: int,
    epoch: int,
    augmented: bool,
    adam: torch.optim.Adam,
) -> float:
    """One pass over the training set; the mean loss."""
    torch.manual_seed(seed * 1_000_003 + epoch)
    step.statistics.train()
    batches = torch.randperm(len(x), device=x.device).split(training.batch)
    total = torch.zeros((), device=x.device)
    for i, rows in enumerate(batches):
        progress = (epoch + i / len(batches)) / training.epochs
        for group in adam.param_groups:
            group["lr"] = training.lr / (10 if progress >= LAST_PART else 1)
        loss = step.gradient(augment(x[rows]) if augmented else x[rows], y[rows], progress)
        adam.step()
        total += loss * len(rows)
        step.watcher.step(epoch + 1, i + 1, len(batches))
    return total.item() / len(x)


def _require_finite(net: nn.Module, loss: float, epoch: int, epochs: int) -> None:
    weights = all(bool(tensor.isfinite().all()) for tensor in net.state_dict().values())
    if not math.isfinite(loss) or not weights:
        what = f"the loss is {loss}" if not math.isfinite(loss) else "a weight is not finite"
        raise Diverged(f"training diverged in epoch {epoch} of {epochs}: {what}")


def _errors(net: nn.Module, x: Tensor, y: Tensor, threat: Threat, seed: int) -> tuple[float, float]:
    """Clean and PGD error of a few inputs, without touching the global generator."""
    net.eval()
    generator = torch.Generator(device=x.device).manual_seed(seed)

    def wrong(start: int, stop: int) -> Tensor:
        some_x = x[start:stop]
        some_y = y[start:stop]
        z, _ = ascend(net, some_x, some_y, threat=threat, steps=WATCH_STEPS, generator=generator)
        with torch.no_grad():
            errors = [~(margins(net(inputs), some_y) > 0) for inputs in (some_x, z)]
        return torch.stack([errors[0], errors[0] | errors[1]])

    clean, attacked = torch.cat(in_parts(wrong, len(x)), dim=1).float().mean(1).tolist()
    return clean, attacked


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
