"""The one training loop: seeds, epochs, history, which weights count in the end."""

import math
import time
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from bench.data.datasets import DataSet, augment
from bench.data.holdout import hold_out
from bench.jobs.batch_statistics import BatchStatistics
from bench.jobs.optimisation import Optimisation
from bench.jobs.out_of_memory import free_cached_memory
from bench.jobs.training_progress import Progress
from bench.jobs.watched import attacked_errors
from bench.plugins.training import Training
from methods.interface import Method
from relu.batching import is_out_of_memory
from relu.threat import Threat

WATCHED = 256  # training inputs on which each epoch's errors are measured
AUGMENTED = 2  # pixels by which the images of data sets are moved that are augmented [CAH19]
HELD_OUT = 1000  # held-out inputs, at most, on which each epoch is judged


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
    epoch), clean_error and pgd_error (shares, on WATCHED training inputs), lr and seconds; where a
    part is held out, also held_out_clean, held_out_pgd and held_out_uncertified, of the weights
    that would count if it were the last epoch. Raises Diverged where the loss is NaN or infinite,
    BadLoss where it is no scalar.
    """
    watcher = watcher or Watcher()
    held = hold_out(data, training.held_out) if training.held_out else None
    run = Progress(net, training, threat, seed)
    if (state := watcher.resume()) is not None:
        run.load(state)
    elif (prepare := getattr(method, "prepare", None)) is not None:
        torch.manual_seed(_seed(seed, -1))
        prepare(net)
    device = next(net.parameters()).device
    part = held or data
    x = part.x_train.to(device)
    y = part.y_train.to(device)
    step = _Step(net, method, threat, training, watcher)
    for epoch in range(len(run.history), training.epochs):
        started = time.perf_counter()
        loss = _epoch(step, x, y, training, seed, epoch, augmented, run.optimisation)
        _require_finite(net, loss, epoch + 1, training.epochs)
        clean_error, pgd_error = attacked_errors(net, x[:WATCHED], y[:WATCHED], threat, seed)
        row = {
            "epoch": epoch + 1,
            "loss": loss,
            "clean_error": clean_error,
            "pgd_error": pgd_error,
            "lr": run.optimisation.rate,
        }
        run.average(epoch + 1)
        if held is not None:
            row |= run.judge(
                x, held.x_test[:HELD_OUT].to(device), held.y_test[:HELD_OUT].to(device)
            )
        run.history.append(row | {"seconds": time.perf_counter() - started})
        watcher.epoch(run.history[-1], run.state())
    run.finish(x)
    return run.history


def _seed(seed: int, epoch: int) -> int:
    """What an epoch seeds torch with; -1: what comes before the first."""
    return seed * 1_000_003 + (epoch if epoch >= 0 else 1_000_002)


class _Step:
    """Gradients of mini-batches, in as many parts as memory asks for.

    Batch norm has the statistics of the whole clean batch in all of them.
    """

    def __init__(
        self,
        net: nn.Module,
        method: Method,
        threat: Threat,
        training: Training,
        watcher: Watcher,
    ) -> None:
        self.statistics = BatchStatistics(net)
        self.mixed = training.mixed
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
        mixed = self.mixed and x.is_cuda
        total = torch.zeros((), device=x.device)
        for some_x, some_y in zip(x.chunk(self.parts), y.chunk(self.parts), strict=True):
            with torch.autocast("cuda", torch.bfloat16) if mixed else nullcontext():
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
    optimisation: Optimisation,
) -> float:
    """One pass over the training set; the mean loss."""
    torch.manual_seed(_seed(seed, epoch))
    step.statistics.train()
    batches = torch.randperm(len(x), device=x.device).split(training.batch)
    total = torch.zeros((), device=x.device)
    pad = training.shift or (AUGMENTED if augmented else 0)
    for i, rows in enumerate(batches):
        progress = (epoch + i / len(batches)) / training.epochs
        images = x[rows]
        if pad:
            images = augment(images, pad=pad, mirror=augmented)
        loss = step.gradient(images, y[rows], progress)
        optimisation.step(progress)
        total += loss * len(rows)
        step.watcher.step(epoch + 1, i + 1, len(batches))
    return total.item() / len(x)


def _require_finite(net: nn.Module, loss: float, epoch: int, epochs: int) -> None:
    weights = all(bool(tensor.isfinite().all()) for tensor in net.state_dict().values())
    if not math.isfinite(loss) or not weights:
        what = f"the loss is {loss}" if not math.isfinite(loss) else "a weight is not finite"
        raise Diverged(f"training diverged in epoch {epoch} of {epochs}: {what}")
