"""The commands: run and eval compute, status and leaderboard look at runs, list at plugins."""

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
from bench.launch import Launcher, data_folder
from bench.only import keep
from bench.plan import Cell, all_jobs, make_plan, once
from bench.provenance import provenance
from bench.report import forecast, standing
from bench.request import Checkpoint, Request, make_request, make_requests
from bench.runfiles import RunFiles
from bench.settings import Training
from bench.sources import SOURCES
from bench.store import Store
from bench.suite import describe, suites
from leaderboard.beside import beside_to_csv, beside_to_markdown
from leaderboard.published import tables
from leaderboard.rows import Row, make_row, read_rows
from leaderboard.tables import (
    seconds_to_csv,
    seconds_to_markdown,
    to_csv,
    to_json,
    to_markdown,
)
from relu.names import InputError, resolve
from relu.networks import ARCHITECTURES
from relu.threat import format_eps

NAMED = 10  # contradictions of a row that are printed


def run_command(options: argparse.Namespace) -> int:
    """Trains, judges, prints the leaderboard; 0, or 1 where a job failed or evidence conflicts."""
    catalogue = _catalogue(options)
    requests = make_requests(options, catalogue)
    if not all(request.methods for request in requests):
        raise InputError(f"--methods expects one or more of {', '.join(catalogue.methods)}")
    return _compute([_with_table(request) for request in requests], catalogue, options)


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
    return _compute([request], catalogue, options)


def leaderboard_command(options: argparse.Namespace) -> int:
    """Prints the rows of finished runs, and writes them where asked; nothing is computed anew."""
    folders = [Path(folder) for folder in options.runs]
    rows = read_rows(folders)
    redrawn = len(folders) == 1 and os.access(folders[0], os.W_OK)  # an archive is only printed
    target = Path(options.out) if options.out else folders[0] if redrawn else None
    if target is not None:
        if (target / "run.json").exists() and [target.resolve()] != [f.resolve() for f in folders]:
            raise InputError(f"--out {str(target)!r} holds a run of its own: name another folder")
        Store(target).prepare()
        _write(RunFiles(target), rows)
    _print(rows)
    return _complain(rows)


def status_command(options: argparse.Namespace) -> int:
    """Shows how the runs on a folder stand; 0."""
    root = Path(options.run)
    print(standing(root), end="")
    return 0


def list_command(options: argparse.Namespace) -> int:
    """Shows what --methods, --eval, --dataset, --arch, --set and --suite accept."""
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
    print("SUITES (run one with --suite NAME)")
    print(_lines([_about_suite(name) for name in suites()]))
    return 0


def _about_suite(name: str) -> tuple[str, str]:
    said, published = describe(name)
    return name, f"{said} [beside the published {', '.join(published)}]" if published else said


def _about(plugin: Plugin) -> tuple[str, ...]:
    doc = (plugin.cls.__doc__ or "").strip().splitlines()
    fields = ", ".join(f"{name}={value}" for name, value in plugin.fields().items())
    return plugin.name, plugin.cls.label, fields or "no settings", doc[0] if doc else ""


def _lines(rows: Sequence[Sequence[object]]) -> str:
    table = tabulate(rows, tablefmt="plain", disable_numparse=True)
    return "".join(f"  {line}\n" for line in table.splitlines())


def _catalogue(options: argparse.Namespace) -> Catalogue:
    return discover([Path(file) for file in options.plugin])


def _with_table(request: Request) -> Request:
    """With the published table by its name. Raises InputError where there is none."""
    if request.published is None:
        return request
    table = resolve(request.published, dict.fromkeys(tables(), ()), "published table")
    return dataclasses.replace(request, published=table)


def _compute(asked: Sequence[Request], catalogue: Catalogue, options: argparse.Namespace) -> int:
    requests = keep(asked, options.only, catalogue)
    data = _load(requests, options)
    cells = once(cell for request in requests for cell in make_plan(request, catalogue, data))
    launcher = Launcher(options, all_jobs(cells))
    if options.dry_run:
        print(forecast(launcher, len(cells)), end="")
        return 0
    store, files = launcher.store, launcher.files

    def begin() -> None:
        store.prepare()
        files.require_locks()
        files.save_run(_record(cells, {}))

    outcomes = launcher.run(begin)
    launcher.there()  # listing the folders lets a network file system notice what others wrote
    failures = {key: o.message for key, o in outcomes.items() if o.status in ("failed", "skipped")}
    files.save_run(_record(cells, failures))
    rows = [make_row([store], cell.record(), failures) for cell in cells]
    _write(files, rows)
    _print(rows)
    print(f"leaderboard and evidence: {options.out}", file=sys.stderr)
    return max(_complain(rows), 1 if failures else 0)


def _load(requests: Sequence[Request], options: argparse.Namespace) -> dict[str, DataSet]:
    """The data sets of all requests, and no others."""
    folder = Path(place) if (place := data_folder(options)) else None
    data: dict[str, DataSet] = {}
    for request in requests:
        for name in request.datasets:
            data[name] = data.get(name) or load(name, folder)
            if request.count(there := len(data[name].y_test)) > there:
                raise InputError(f"--points {request.points}: {name} has {there} test inputs")
    return data


def _record(cells: Sequence[Cell], failures: Mapping[str, str]) -> dict[str, Any]:
    return {
        "cells": [cell.record() for cell in cells],
        "failures": dict(failures),
        "provenance": provenance(torch.device("cpu")),
    }


def _write(files: RunFiles, rows: Sequence[Row]) -> None:
    texts = {
        "leaderboard.md": to_markdown(rows), "leaderboard.csv": to_csv(rows),
        "leaderboard.json": to_json(rows), "seconds.md": seconds_to_markdown(rows),
        "seconds.csv": seconds_to_csv(rows),
    }  # fmt: skip
    beside = beside_to_markdown(rows)  # "" where no row has published values
    texts |= {"published.md": beside, "published.csv": beside_to_csv(rows) if beside else ""}
    for name, text in texts.items():
        files.save_text(name, text)


def _print(rows: Sequence[Row]) -> None:
    drawn = [to_markdown(rows), beside_to_markdown(rows), seconds_to_markdown(rows)]
    print(*filter(None, drawn), sep="\n", end="")


def _complain(rows: Sequence[Row]) -> int:
    """Names contradictions on stderr; 1 where there is one."""
    for row in rows:
        where = f"{row['dataset']} {row['arch']} {row['label']} {row['norm']}"
        for text in row["contradictions"][:NAMED]:
            print(f"CONTRADICTION ({where}): {text}", file=sys.stderr)
        if (more := len(row["contradictions"]) - NAMED) > 0:
            print(f"CONTRADICTION ({where}): {more} more, all in leaderboard.json", file=sys.stderr)
    return int(any(row["contradictions"] for row in rows))
