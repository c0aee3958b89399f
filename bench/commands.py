"""The commands: run and eval compute, leaderboard redraws, list shows what there is."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from bench import checkpoint
from bench.data import DataSet, load
from bench.discovery import Catalogue, Plugin, discover
from bench.display import Live
from bench.job import Job
from bench.plan import Cell, all_jobs, make_plan
from bench.provenance import provenance
from bench.request import Checkpoint, Request, make_request
from bench.schedule import Outcome, run
from bench.settings import Training
from bench.sources import SOURCES
from bench.store import Store
from bench.worker import Worker
from leaderboard.rows import Row, make_row, read_rows
from leaderboard.tables import to_csv, to_json, to_markdown
from relu.names import InputError
from relu.networks import ARCHITECTURES
from relu.threat import format_eps

NAMED = 10  # contradictions of a row that are printed


def run_command(options: argparse.Namespace) -> int:
    """Trains, judges, prints the leaderboard; 0, or 1 where a job failed or evidence conflicts."""
    catalogue = _catalogue(options)
    request = make_request(options, catalogue)
    if not request.methods:
        raise InputError(f"--methods expects one or more of {', '.join(catalogue.methods)}")
    return _compute(request, catalogue, options)


def eval_command(options: argparse.Namespace) -> int:
    """Judges a checkpoint like a network of our own."""
    catalogue = _catalogue(options)
    path = Path(options.checkpoint)
    about = Checkpoint(
        path=str(path), digest=checkpoint.digest(path), name=options.name or path.stem
    )
    request = dataclasses.replace(make_request(options, catalogue), checkpoint=about)
    if len(request.datasets) > 1 or len(request.archs) > 1:
        raise InputError("eval expects one --dataset and one --arch: those of the checkpoint")
    source = SOURCES[request.datasets[0]]
    checkpoint.read_checkpoint(path, request.archs[0], source.shape, source.classes)
    return _compute(request, catalogue, options)


def leaderboard_command(options: argparse.Namespace) -> int:
    """Prints the rows of finished runs, and writes them where asked; nothing is computed anew."""
    folders = [Path(folder) for folder in options.runs]
    rows = read_rows(folders)
    redrawn = len(folders) == 1 and os.access(folders[0], os.W_OK)  # an archive is only printed
    target = Path(options.out) if options.out else folders[0] if redrawn else None
    if target is not None:
        if (target / "run.json").exists() and [target.resolve()] != [f.resolve() for f in folders]:
            raise InputError(f"--out {str(target)!r} holds a run of its own: name another folder")
        store = Store(target)
        store.prepare()
        _write(store, rows)
    print(to_markdown(rows), end="")
    return _complain(rows)


def list_command(options: argparse.Namespace) -> int:
    """Shows what --methods, --eval, --dataset, --arch and --set accept."""
    catalogue = _catalogue(options)
    for title, plugins in (("METHODS", catalogue.methods), ("EVALUATORS", catalogue.evaluators)):
        print(f"{title} (settings with defaults; change one with --set NAME.FIELD=VALUE)")
        print(_lines([_about(plugin) for plugin in plugins.values()]))
    training = ", ".join(f"{f.name}={f.default}" for f in dataclasses.fields(Training))
    print(f"TRAINING of every method\n{_lines([('train', training)])}")
    print("DATA SETS (input shape, classes, default architecture, default eps)")
    print(_lines([
        (name, s.summary, "x".join(map(str, s.shape)), s.classes, s.arch,
         ", ".join(f"{norm} {format_eps(eps)}" for norm, eps in s.eps.items()))
        for name, s in SOURCES.items()
    ]))  # fmt: skip
    print("ARCHITECTURES")
    print(_lines([(name, summary) for name, (summary, _) in ARCHITECTURES.items()]))
    return 0


def _about(plugin: Plugin) -> tuple[str, ...]:
    doc = (plugin.cls.__doc__ or "").strip().splitlines()
    fields = ", ".join(f"{name}={value}" for name, value in plugin.fields().items())
    return plugin.name, plugin.cls.label, fields or "no settings", doc[0] if doc else ""


def _lines(rows: Sequence[Sequence[object]]) -> str:
    table = tabulate(rows, tablefmt="plain", disable_numparse=True)
    return "".join(f"  {line}\n" for line in table.splitlines())


def _catalogue(options: argparse.Namespace) -> Catalogue:
    return discover([Path(file) for file in options.plugin])


def _compute(request: Request, catalogue: Catalogue, options: argparse.Namespace) -> int:
    device = _device(options.device)
    data = _load(request, options.data)
    cells = make_plan(request, catalogue, data)
    store = Store(Path(options.out))
    store.prepare()
    _write_run(store, cells, {}, device)
    outcomes = _execute(store, cells, catalogue, data, device)
    failures = {key: o.message for key, o in outcomes.items() if o.status in ("failed", "skipped")}
    _write_run(store, cells, failures, device)
    rows = [make_row([store], cell.record(), failures) for cell in cells]
    _write(store, rows)
    print(to_markdown(rows), end="")
    print(f"leaderboard and evidence: {store.root}", file=sys.stderr)
    return max(_complain(rows), 1 if failures else 0)


def _execute(
    store: Store, cells: Sequence[Cell], catalogue: Catalogue, data: Mapping[str, DataSet],
    device: torch.device,
) -> Mapping[str, Outcome]:  # fmt: skip
    jobs = all_jobs(cells)
    with Live(len(jobs)) as live:
        worker = Worker(store, catalogue, data, device, live)

        def execute(job: Job) -> None:
            live.start(job)
            worker.execute(job)

        def report(job: Job, outcome: Outcome) -> None:
            live.end(job, outcome)
            if outcome.details:
                store.save_log(job.key, outcome.details)

        return run(jobs, execute, stored=worker.stored, report=report)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    valid = ["auto", "cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name not in valid:
        raise InputError(f"--device {name!r} cannot be used: valid are {', '.join(valid)}")
    return torch.device(name)


def _load(request: Request, folder: str | None) -> dict[str, DataSet]:
    place = folder or os.environ.get("BENCH_DATA") or None
    data = {name: load(name, Path(place) if place else None) for name in request.datasets}
    for name, dataset in data.items():
        if request.points is not None and request.points > len(dataset.y_test):
            raise InputError(
                f"--points {request.points}: {name} has {len(dataset.y_test)} test inputs"
            )
    return data


def _write_run(
    store: Store, cells: Sequence[Cell], failures: Mapping[str, str], device: torch.device
) -> None:
    record: dict[str, Any] = {
        "cells": [cell.record() for cell in cells],
        "failures": dict(failures),
        "provenance": provenance(device),
    }
    store.save_run(record)


def _write(store: Store, rows: Sequence[Row]) -> None:
    for suffix, text in (("md", to_markdown(rows)), ("csv", to_csv(rows)), ("json", to_json(rows))):
        store.save_text(f"leaderboard.{suffix}", text)


def _complain(rows: Sequence[Row]) -> int:
    """Names contradictions on stderr; 1 where there is one."""
    for row in rows:
        where = f"{row['dataset']} {row['arch']} {row['label']} {row['norm']}"
        for text in row["contradictions"][:NAMED]:
            print(f"CONTRADICTION ({where}): {text}", file=sys.stderr)
        if (more := len(row["contradictions"]) - NAMED) > 0:
            print(f"CONTRADICTION ({where}): {more} more, all in leaderboard.json", file=sys.stderr)
    return int(any(row["contradictions"] for row in rows))
