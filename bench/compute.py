"""From requests to results on disk: data, plan, run, and the record that is kept of it."""

import argparse
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
from bench.store import Store
from relu.names import InputError


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
    limit_threads(parse_running(options).cores)
    requests = keep(asked, options.only, catalogue)
    data = _load(requests, options)
    cells = once(cell for request in requests for cell in make_plan(request, catalogue, data))
    launcher = Launcher(options, all_jobs(cells))
    if options.dry_run:
        sys.stdout.write(forecast(launcher, len(cells)))
        return None
    store, files = launcher.store, launcher.files

    def kept(failures: Mapping[str, str]) -> Computed:
        done = Computed(cells=cells, failures=failures, store=store, files=files)
        files.save_run(done.record(), record)
        return done

    def begin() -> None:
        store.prepare()
        files.require_locks()
        kept({})

    outcomes = launcher.run(begin, cells=cells, describe=functools.partial(describe, store))
    launcher.there()  # listing the folders lets a network file system notice what others wrote
    ended = ("failed", "skipped")
    return kept({key: o.message for key, o in outcomes.items() if o.status in ended})


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
                raise InputError(f"--points {request.points}: {name} has {there} {part} inputs")
    return data
