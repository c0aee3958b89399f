"""Properties that are decided one after the other, each in a process of its own, in its time."""

import contextlib
import importlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bench.jobs.limited import Died, TimeOver, limited
from bench.jobs.verification import Answer, Evaluators, Query, answer

HANDOVER = 0.02  # of the time, in which a process hands over its answer before it is killed


class Verifier:
    """Asks evaluators, the cheapest one first. settings: of evaluators, the user's."""

    def __init__(self, evaluators: Evaluators, settings: Mapping[str, Mapping[str, Any]]) -> None:
        self.evaluators = evaluators
        self.settings = settings

    def preload(self) -> None:
        """Imports here what each process would import again: of a list, once for all."""
        for library in ("onnx", "onnxruntime", "vnnlib"):
            with contextlib.suppress(ImportError):
                importlib.import_module(library)
        torch.relu(torch.empty(1, device="meta"))  # torch imports a lot to infer a shape

    def ask(
        self, file: Path, network: Path, *, name: str | None = None, seconds: float
    ) -> tuple[Answer, float]:
        """The answer about a property and a network, and the seconds that it took.

        Raises InputError for files that cannot be used.
        """
        query = Query(
            file=file,
            network=network,
            network_name=name,
            evaluators=self.evaluators,
            settings=self.settings,
            seconds=seconds * (1 - HANDOVER),
        )
        started = time.perf_counter()
        try:
            result = limited(answer, query, seconds=seconds)
        except TimeOver:
            result = Answer(verdict="timed-out")
        except Died as error:
            result = Answer(verdict="unknown", notes=[str(error)])
        return result, time.perf_counter() - started
