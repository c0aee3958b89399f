"""The rows of a leaderboard, computed from the evidence in run folders."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.jobs.verdict import Verdict, combine, merged
from bench.store.results import Kind, Store
from bench.store.run_files import read_run
from bench.store.run_record import CellRecord
from evaluators.interface import certified_at, exact_at, fooled_at
from leaderboard.contribution import contributions, radius_statistics
from leaderboard.merge import answered, identity, once
from leaderboard.row import CERTIFIED, FOOLED, OPEN, Row


def read_rows(folders: Iterable[Path]) -> list[Row]:
    """The rows of all runs, each once, in order. Raises InputError for folders that hold no run."""
    return [row for _, row in read_table([Store(folder) for folder in folders])]


def read_table(stores: Sequence[Store]) -> list[tuple[CellRecord, Row]]:
    """The rows of all runs, each once, in order, and the cells behind them. Raises InputError."""
    runs = [read_run(store.root) for store in stores]
    failures = {key: why for run in runs for key, why in run.failures.items()}
    cells = {identity(cell): cell for cell in once(cell for run in runs for cell in run.cells)}
    rows = answered([make_row(stores, cell, failures) for cell in cells.values()])
    return [(cells[identity(row)], row) for row in rows]


def make_row(stores: Sequence[Store], cell: CellRecord, failures: Mapping[str, str]) -> Row:
    """The row of one cell: its evidence intersected, its unfinished parts named."""
    held, left_out = _held(stores, cell)
    row = Row(
        box=cell.box,
        published=cell.published,
        data=cell.data,
        code=cell.code,
        cascade=cell.cascade,
        dataset=cell.dataset,
        arch=cell.arch,
        norm=cell.norm,
        eps=cell.eps,
        method=cell.method,
        label=cell.label,
        settings=cell.settings,
        trained=cell.trained,
        union=cell.union,
        group=cell.group,
        seed=cell.seed,
        points=cell.points,
        network=cell.network,
        evaluator_labels=cell.evaluator_labels,
        refusals=cell.refusals,
        left_out=tuple(left_out),
        failures=_failures(held, cell, failures),
    )
    if (store := held.get(cell.network)) is not None:
        settings = store.settings("networks", cell.network)
        row = dataclasses.replace(
            row,
            train_seconds=settings["seconds"] if settings["kind"] == "train" else None,
            weights=store.weights_digest(cell.network),
        )
    judged = _judged(held, cell)
    return row if judged is None else _with_verdict(row, judged)


def _with_verdict(row: Row, judged: "Judged") -> Row:
    """The row with what its evidence says."""
    verdict = judged.verdict
    evidence = judged.evidence
    correct = judged.correct
    numbers: dict[str, Any] = radius_statistics(verdict, evidence, correct, row.settings)
    eps = np.asarray(row.eps)
    numbers |= summary(verdict, eps)
    return dataclasses.replace(
        row,
        test_error=judged.test_error,
        seconds={name: float(t["seconds"].sum()) for name, t in evidence.items()},
        outcomes={name: _counts(t["outcome"]) for name, t in evidence.items()},
        statuses={name: _counts(t["status"]) for name, t in evidence.items()},
        unfinished={name: _counts(_unfinished(t)) for name, t in evidence.items()},
        contradictions=tuple(str(c) for c in verdict.contradictions),
        contributions=contributions(verdict, evidence, correct, eps),
        verdicts=letters(verdict, eps),
        **numbers,
    )


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is known of a cell's network, input by input.

    clean: index, label, predicted, correct. evidence: by evaluator; parts: the same by evaluator
    and key, each from the store that holds it.
    """

    test_error: float
    clean: pd.DataFrame
    evidence: Mapping[str, pd.DataFrame]
    parts: Mapping[str, Mapping[str, pd.DataFrame]]
    verdict: Verdict
    held: Mapping[str, Store]

    @property
    def correct(self) -> np.ndarray:
        return self.clean["correct"].to_numpy()


def read_judged(folder: Path) -> Iterator[tuple[Row, Judged]]:
    """The rows of a run that are judged, and what is behind them. Raises InputError."""
    store = Store(folder)
    run = read_run(folder)
    for cell in once(run.cells):
        if (judged := judged_cell([store], cell)) is not None:
            yield make_row([store], cell, run.failures), judged


def judged_cell(stores: Sequence[Store], cell: CellRecord) -> Judged | None:
    """What is known of a cell's network; None where not even its predictions are there."""
    return _judged(_held(stores, cell)[0], cell)


def correct_inputs(store: Store, row: Row) -> np.ndarray | None:
    """Which of a row's points are correctly classified; None where no prediction is there."""
    for cell in read_run(store.root).cells:
        if cell.network == row.network and cell.data == row.data:
            held, _ = _held([store], cell)
            if cell.clean in held:
                correct = store.load_clean(cell.clean)["correct"].to_numpy()
                return np.asarray(correct[: row.points])
    return None


def _judged(held: Mapping[str, Store], cell: CellRecord) -> Judged | None:
    if (store := held.get(cell.clean)) is None:
        return None
    clean = store.load_clean(cell.clean)
    points = clean.head(cell.points)
    parts = _parts(held, cell)
    evidence = {name: merged(list(tables.values())) for name, tables in parts.items()}
    return Judged(
        test_error=1 - float(clean["correct"].mean()),
        clean=points,
        evidence=evidence,
        parts=parts,
        verdict=combine(points, evidence),
        held=held,
    )


def _held(stores: Sequence[Store], cell: CellRecord) -> tuple[dict[str, Store], list[str]]:
    """Key -> the first store that has it, all about the same weights; and who has other weights.

    Two machines may train the same settings to different weights. They are two networks of one
    seed, and evidence about the one says nothing of the other: the one of which more is known
    counts, the first of two, and the folders of all others are named.
    """
    key = cell.network
    homes: dict[str, Store] = {}
    for store in stores:
        if store.has("networks", key):
            homes.setdefault(store.weights_digest(key), store)
    if not homes:
        return {}, []
    held_by_weights = {weights: _about(stores, cell, weights) for weights in homes}
    most = max(held_by_weights, key=lambda weights: len(held_by_weights[weights]))
    others = [str(home.root) for weights, home in homes.items() if weights != most]
    return {key: homes[most], **held_by_weights[most]}, others


def _about(stores: Sequence[Store], cell: CellRecord, weights: str) -> dict[str, Store]:
    """Key -> the first store that has it, of what was computed about these weights."""
    made: list[tuple[Kind, str]] = [("clean", cell.clean)]
    made += [("evidence", key) for keys in cell.evidence.values() for key in keys]
    held: dict[str, Store] = {}
    for kind, key in made:
        for store in stores:
            if store.has(kind, key) and store.settings(kind, key)["inputs"]["weights"] == weights:
                held.setdefault(key, store)
    return held


def _parts(held: Mapping[str, Store], cell: CellRecord) -> dict[str, dict[str, pd.DataFrame]]:
    """Evaluator -> key -> its table, of the evidence that is there."""
    tables = {
        name: {key: held[key].load_evidence(key) for key in keys if key in held}
        for name, keys in cell.evidence.items()
    }
    return {name: by_key for name, by_key in tables.items() if by_key}


def _counts(words: pd.Series) -> dict[str, int]:
    return {str(word): int(count) for word, count in words.value_counts().items()}


def _unfinished(table: pd.DataFrame) -> pd.Series:
    """The outcomes of inputs that were worked on, but not to the evaluator's end."""
    return table["outcome"][~table["status"].isin(["done", "skipped"])]


def letters(verdict: Verdict, eps: float | np.ndarray) -> str:
    """What is known of each input at eps, in letters."""
    fooled = fooled_at(verdict.table["high"].to_numpy(), eps)
    certified = certified_at(verdict.table["low"].to_numpy(), eps)
    return "".join(np.where(fooled, FOOLED, np.where(certified, CERTIFIED, OPEN)))


def summary(verdict: Verdict, eps: float | np.ndarray) -> dict[str, float | None]:
    """Shares and means over the judged inputs, misclassified ones included (radius 0).

    eps: of all inputs, or of each. robust_error_low: share with high <= eps. robust_error_high:
    that, and the share with low < eps. undecided: the difference. exact_share: high and low agree
    up to EXACT.
    """
    low = verdict.table["low"].to_numpy()
    high = verdict.table["high"].to_numpy()
    fooled = fooled_at(high, eps)
    open_ = ~fooled & ~certified_at(low, eps)
    return {
        "robust_error_low": float(fooled.mean()),
        "robust_error_high": float((fooled | open_).mean()),
        "undecided": float(open_.mean()),
        "radius_low": _finite(low.mean()),
        "radius_high": _finite(high.mean()),
        "exact_share": float(exact_at(low, high).mean()),
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _failures(
    held: Mapping[str, Store], cell: CellRecord, failures: Mapping[str, str]
) -> dict[str, str]:
    """What is missing, by "network" or evaluator, and why."""
    for key in (cell.network, cell.clean):
        if key not in held:
            return {"network": failures.get(key, "not finished")}
    missing = {}
    for name, keys in cell.evidence.items():
        absent = [key for key in keys if key not in held]
        if absent:
            reasons = sorted({failures.get(key, "not finished") for key in absent})
            part = f" ({len(absent)} of {len(keys)} shards)" if len(keys) > 1 else ""
            missing[name] = "; ".join(reasons) + part
    return missing
