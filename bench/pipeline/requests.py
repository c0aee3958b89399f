"""From requests to results on disk: data, plan, run, and the record that is kept of it."""

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.data.datasets import DataSet, load
from bench.data.given_inputs import given_inputs
from bench.data.holdout import hold_out
from bench.data.sources import Source
from bench.jobs.cell import Cell
from bench.plan.cells import all_jobs, judged_data, make_plan, once
from bench.plan.request import Request
from bench.plugins.catalogue import Catalogue
from bench.scheduling.launch import Launcher
from bench.scheduling.machine import limit_threads
from bench.scheduling.run_options import RunOptions
from bench.scheduling.withdrawal import contradicted, judged_again, without
from bench.store.provenance import provenance
from bench.store.results import Store
from bench.store.run_files import RunFiles
from bench.store.run_record import CellRecord, RunRecord
from relu.errors import InputError

BROKEN = ("failed", "skipped")  # how jobs end that leave no result
Describe = Callable[[Store, CellRecord, Mapping[str, str]], str]
"""A line about a cell's record and what failed (job key -> why), told when its last job ended"""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """The cells of all requests, and how their jobs will run. Nothing is written yet."""

    cells: Sequence[Cell]
    options: RunOptions
    launcher: Launcher


@dataclass(frozen=True, kw_only=True)
class Computed:
    """What was asked for, what failed (job key -> why), and where the results are."""

    cells: Sequence[Cell]
    failures: Mapping[str, str]
    store: Store
    files: RunFiles

    def record(self) -> RunRecord:
        """As it is kept in the run folder."""
        return RunRecord(
            cells=tuple(cell.record() for cell in self.cells),
            failures=dict(self.failures),
            provenance=provenance(torch.device("cpu")),
        )


def plan_requests(
    requests: Sequence[Request], catalogue: Catalogue, options: RunOptions
) -> Planned:
    """Loads the data of the requests, and plans their jobs. Raises InputError."""
    limit_threads(options.cores)
    asked = [dataclasses.replace(r, reproducible=options.reproducible) for r in requests]
    data = _load(asked, options.data, catalogue.sources)
    cells = once(cell for request in asked for cell in _planned(request, catalogue, data))
    return Planned(cells=cells, options=options, launcher=Launcher(options, all_jobs(cells)))


def compute(planned: Planned, record: str, describe: Describe) -> Computed:
    """Runs all jobs and keeps the run's record under a name."""
    launcher = planned.launcher
    store = launcher.store
    files = launcher.files
    cells = planned.cells
    failures: dict[str, str] = {}

    def kept() -> Computed:
        done = Computed(cells=cells, failures=failures, store=store, files=files)
        files.save_run(done.record().to_json(), record)
        return done

    def begin() -> None:
        store.prepare()
        files.require_locks()
        kept()

    while launcher.jobs:
        told = functools.partial(describe, store)
        outcomes = launcher.run(begin, cells=cells, describe=told)
        launcher.there()  # listing the folders lets a network file system notice what others wrote
        failures |= {key: o.message for key, o in outcomes.items() if o.status in BROKEN}
        kept()
        again = [judged_again(store, cell, failures) for cell in cells]
        changed = [new for old, new in zip(cells, again, strict=True) if new is not old]
        _tell(store, changed)
        cells = again
        launcher = Launcher(planned.options, without(failures, all_jobs(changed)))
    return kept()


def _tell(store: Store, changed: Sequence[Cell]) -> None:
    """Says whose certificates are withdrawn, as what these had spared others is judged again."""
    for cell in changed:
        names = ", ".join(cell.evaluator_labels[name] for name in sorted(contradicted(store, cell)))
        where = f"{cell.dataset} {cell.arch} {cell.label} {cell.norm}"
        sys.stderr.write(f"{where}: {names} is contradicted; judging again what it had decided\n")


def _planned(request: Request, catalogue: Catalogue, data: Mapping[str, DataSet]) -> list[Cell]:
    """The cells of a request; errors name the suite that its settings are from."""
    try:
        return make_plan(request, catalogue, data)
    except InputError as error:
        place = request.settings_place
        raise (InputError(f"{place}: {error}") if place else error) from error


def _load(
    requests: Sequence[Request], folder: Path | None, sources: Mapping[str, Source]
) -> dict[str, DataSet]:
    """The data sets of all requests, and no others. They agree on what is held out."""
    data: dict[str, DataSet] = {}
    for request in requests:
        share = request.held_out
        part = "test" if share is None or request.on_test else f"held-out ({share:g})"
        part = "given" if request.inputs else part
        for name in request.datasets:
            if name not in data:
                data[name] = _part(load(name, folder, sources), request)
            if request.count(there := len(judged_data(request, data[name]).y_test)) > there:
                where = f"{request.points_place} {request.points}"
                raise InputError(f"{where}: {name} has {there} {part} inputs")
    return data


def _part(whole: DataSet, request: Request) -> DataSet:
    """The data set with what the request judges in its test part."""
    if request.inputs:
        return given_inputs(whole, Path(request.inputs))
    return whole if request.held_out is None else hold_out(whole, request.held_out)
