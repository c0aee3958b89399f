"""Runs that nobody computed, made in seconds: pages of any number of rows and inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from bench.data.datasets import DataSet
from bench.store.results import Store
from bench.store.run_files import RunFiles
from bench.store.run_record import CellRecord, RunRecord
from relu.threat import Norm

METHODS = ("plain", "at", "kw", "mmr", "mmr_at", "ibp", "crown_ibp", "sabr", "trades", "mtl_ibp")
THREATS: Sequence[tuple[Norm, float]] = (("linf", 0.1), ("l2", 0.3), ("linf", 0.2), ("l1", 1.0))
EVALUATORS = {"pgd": "PGD", "kw": "KW", "bab": "BaB"}
EPOCHS = 30


@dataclass(frozen=True, kw_only=True)
class Synthetic:
    """What a run is made of. witnesses: how many of the inputs have theirs on disk.

    label: of all methods, with their name in it as {}; setting: a free text among the settings;
    published: tables of a paper; own_radii: whether each input has an eps of its own.
    """

    data: DataSet
    rows: int = 4
    points: int = 60
    witnesses: int = 10_000
    label: str = "{}"
    setting: str = "usual"
    contradicted: bool = False
    published: tuple[str, ...] = ()
    own_radii: bool = False


def write_run(folder: Path, made: Synthetic, first: int = 0) -> Path:
    """A run folder with that many rows, numbered from `first`; the same each time."""
    store = Store(folder)
    store.prepare()
    cells = [_write_row(store, made, number) for number in range(first, first + made.rows)]
    record = RunRecord(cells=tuple(cells), failures={}, provenance={"bench": "0", "commit": "c"})
    RunFiles(folder).save_run(record.to_json())
    return folder


def _write_row(store: Store, made: Synthetic, number: int) -> CellRecord:
    rng = np.random.default_rng(number)
    method = METHODS[number % len(METHODS)]
    norm, eps = THREATS[number // len(METHODS) % len(THREATS)]
    keys = {name: f"{name}{number}" for name in ("network", "clean", *EVALUATORS)}
    network = nn.Linear(1, 1)
    history = [_epoch(epoch, rng) for epoch in range(1, EPOCHS + 1)]
    store.save_network(keys["network"], network, history, {"kind": "train", "seconds": 12.5})
    inputs = {"weights": store.weights_digest(keys["network"]), "heard": []}
    clean = _clean(made, rng)
    settings = {"arch": "cnn", "shape": list(made.data.shape), "classes": made.data.classes}
    subject = {**settings, "dataset": made.data.name, "data": "d", "code": {}, "network": "n"}
    store.save_clean(keys["clean"], clean, {"settings": subject, "inputs": inputs})
    for name, (table, witness) in _evidence(made, clean, eps, rng).items():
        store.save_evidence(keys[name], table, witness, {"inputs": inputs})
    return CellRecord(
        dataset=made.data.name,
        arch="cnn",
        norm=norm,
        eps=tuple(eps + i / 1000 for i in range(made.points)) if made.own_radii else eps,
        method=method,
        label=made.label.format(method),
        settings={"train.epochs": EPOCHS, "kw.note": made.setting, "number": number},
        group=f"g{number}",
        seed=0,
        points=made.points,
        network=keys["network"],
        clean=keys["clean"],
        evaluator_labels=EVALUATORS,
        refusals={},
        published=made.published,
        evidence={name: (keys[name],) for name in EVALUATORS},
        data={"train": "t", "test": made.data.fingerprint("test")},
    )


def _epoch(epoch: int, rng: np.random.Generator) -> dict[str, Any]:
    error = 0.9 * np.exp(-epoch / 10) + 0.02 * rng.random()
    rest = {"loss": float(3 * error), "pgd_error": float(min(1, 2 * error)), "lr": 1e-3}
    return {"epoch": epoch, "clean_error": float(error), "seconds": 0.4, **rest}


def _clean(made: Synthetic, rng: np.random.Generator) -> pd.DataFrame:
    label = np.resize(made.data.y_test.numpy(), made.points)
    wrong = rng.random(made.points) < 0.03
    predicted = np.where(wrong, (label + 1) % made.data.classes, label)
    index = np.arange(made.points)
    return pd.DataFrame({"index": index, "label": label, "predicted": predicted, "correct": ~wrong})


def _evidence(
    made: Synthetic, clean: pd.DataFrame, eps: float, rng: np.random.Generator
) -> dict[str, tuple[pd.DataFrame, Tensor]]:
    """Of an attack, a certificate, and one that closes half of the intervals that they leave."""
    n = len(clean)
    radius = np.where(clean["correct"], eps * rng.lognormal(0.3, 0.5, n), 0.0)
    low = radius * rng.uniform(0.5, 1, n)
    high = radius * rng.uniform(1.0001, 1.5, n)
    if made.contradicted:
        low[int(np.flatnonzero(clean["correct"])[0])] = 9 * eps
    closed = rng.random(n) < 0.5
    none = torch.full((n, *made.data.shape), torch.nan)
    bounds = {
        "pgd": (np.zeros(n), high, _witness(made, n, eps, rng)),
        "kw": (low, np.full(n, np.inf), none),
        "bab": (np.where(closed, radius, 0), np.full(n, np.inf), none),
    }
    tables = {}
    for name, (least, most, witness) in bounds.items():
        columns = {"index": clean["index"], "low": least, "high": most}
        said = {"seconds": rng.exponential(0.01, n), "status": "done", "outcome": "done"}
        tables[name] = pd.DataFrame(columns | said), witness
    return tables


def _witness(made: Synthetic, n: int, eps: float, rng: np.random.Generator) -> Tensor:
    """The inputs, moved by eps in random directions; NaN beyond made.witnesses."""
    count = min(n, made.witnesses, len(made.data.x_test))
    x = made.data.x_test[:count]
    sign = torch.from_numpy(rng.choice([-1.0, 0.0, 1.0], x.shape)).float()
    witness = torch.full((n, *made.data.shape), torch.nan)
    witness[:count] = (x + eps * sign).clamp(0, 1)
    return witness
