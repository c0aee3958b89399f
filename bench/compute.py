"""From requests to results on disk: data, plan, run, and the record that is kept of it."""

import argparse
import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.data import DataSet, load
from bench.discovery import Catalogue
from bench.holdout import hold_out
from bench.launch import Launcher, data_folder, parse_running
from bench.machine import limit_threads
from bench.only import keep
from bench.plan import Cell, all_jobs, make_plan, once
from bench.provenance import provenance
from bench.report import forecast
from bench.request import Request
from bench.runfiles import RunFiles
from bench.store import Store, require_folder
from bench.withdrawal import contradicted, judged_again, without
from relu.names import InputError

BROKEN = ("failed", "skipped")  # how jobs end that leave no result


@dataclass(frozen=True, kw_only=True)
class Computed:
    """What was asked for, what failed (job key -> why), and where the results are."""

    cells: Sequence[Cell]
    failures: Mapping[str, str]
    store: Store
    files: RunFiles

    def record(self) -> dict[str, Any]:
        """As it is kept in the run folder."""
        return {
            "cells": [cell.record() for cell in self.cells],
            "failures": dict(self.failures),
            "provenance": provenance(torch.device("cpu")),
        }


def require_runnable(options: argparse.Namespace) -> None:
    """Refuses options about where and how jobs run, before anything is read or downloaded."""
    for key in ("out", "data", "address"):
        if getattr(options, key) == "":
            raise InputError(f"--{key} expects a value, got ''")
    require_folder(Path(options.out))
    Launcher(options, ())


def compute(
    asked: Sequence[Request],
    catalogue: Catalogue,
    options: argparse.Namespace,
    record: str,
    describe: Callable[[Store, Mapping[str, Any], Mapping[str, str]], str],
) -> Computed | None:
    """Runs all jobs of the requests and keeps its record under a name; None for a dry run.

    describe: a line about a cell's record and what failed, told when its last job has ended.
    """
    running = parse_running(options)
    limit_threads(running.cores)
    requests = [
        dataclasses.replace(request, reproducible=running.reproducible)
        for request in keep(asked, options.only, catalogue)
    ]
    data = _load(requests, options)
    mixed = " or an option" if options.set or options.grid else ""
    cells = once(
        cell
        for request in requests
        for cell in _planned(request, catalogue, data, f"suite {request.suite}{mixed}")
    )
    launcher = Launcher(options, all_jobs(cells))
    if options.dry_run:
        sys.stdout.write(forecast(launcher, len(cells)))
        return None
    store, files = launcher.store, launcher.files

    failures: dict[str, str] = {}

    def kept() -> Computed:
        done = Computed(cells=cells, failures=failures, store=store, files=files)
        files.save_run(done.record(), record)
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
        launcher = Launcher(options, without(failures, all_jobs(changed)))
    return kept()


def _tell(store: Store, changed: Sequence[Cell]) -> None:
    """Says whose certificates are withdrawn, as what these had spared others is judged again."""
    for cell in changed:
        names = ", ".join(cell.evaluator_labels[name] for name in sorted(contradicted(store, cell)))
        where = f"{cell.dataset} {cell.arch} {cell.label} {cell.norm}"
        sys.stderr.write(f"{where}: {names} is contradicted; judging again what it had decided\n")


def _planned(
    request: Request, catalogue: Catalogue, data: Mapping[str, DataSet], place: str
) -> list[Cell]:
    """The cells of a request; errors name the suite that its settings are from."""
    try:
        return make_plan(request, catalogue, data)
    except InputError as error:
        raise (InputError(f"{place}: {error}") if request.suite else error) from error


def _load(requests: Sequence[Request], options: argparse.Namespace) -> dict[str, DataSet]:
    """The data sets of all requests, and no others. They agree on what is held out."""
    folder = Path(place) if (place := data_folder(options)) else None
    data: dict[str, DataSet] = {}
    for request in requests:
        share = request.held_out
        part = "test" if share is None else f"held-out ({share:g})"
        for name in request.datasets:
            if name not in data:
                whole = load(name, folder)
                data[name] = whole if share is None else hold_out(whole, share)
            if request.count(there := len(data[name].y_test)) > there:
                ours = options.points is None
                where = f"suite {request.suite}: points" if ours else "--points"
                raise InputError(f"{where} {request.points}: {name} has {there} {part} inputs")
    return data
