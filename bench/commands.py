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
from bench.holdout import hold_out
from bench.launch import Launcher, data_folder
from bench.plan import Cell, all_jobs, make_plan
from bench.provenance import provenance
from bench.report import forecast, standing
from bench.request import Checkpoint, Request, make_request
from bench.runfiles import RUN, TUNE, RunFiles
from bench.settings import Training
from bench.sources import SOURCES
from bench.store import Store
from bench.tune import command, make_search, make_trials, ranked
from leaderboard.rows import Row, make_row, read_rows
from leaderboard.tables import (
    seconds_to_csv,
    seconds_to_markdown,
    to_csv,
    to_json,
    to_markdown,
)
from leaderboard.trials import search_record, search_to_markdown, trials_to_csv
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
    return _leaderboard(request, catalogue, options)


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
    return _leaderboard(request, catalogue, options)


def tune_command(options: argparse.Namespace) -> int:
    """Tries a method's settings on held-out training images, prints the trials and the choice."""
    catalogue = _catalogue(options)
    search = make_search(options, catalogue)
    done = _compute(search.request, catalogue, options, TUNE)
    if done is None:
        return 0
    trials = ranked(make_trials(search, done.rows))
    best = trials[0] if trials[0].whole else None
    run = command(search, best, options, catalogue) if best else None
    text = search_to_markdown(trials, run, share=search.share)
    done.files.save_text("tune.md", text)
    done.files.save_text("tune.csv", trials_to_csv(trials))
    kept = search_record(trials, run, share=search.share)
    done.files.save_run(done.record | kept, TUNE)
    print(text, end="")
    print(f"trials and choice: {options.out}/tune.md, .csv, .json", file=sys.stderr)
    return max(_complain(done.rows), 1 if done.record["failures"] or best is None else 0)


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


def _leaderboard(request: Request, catalogue: Catalogue, options: argparse.Namespace) -> int:
    done = _compute(request, catalogue, options, RUN)
    if done is None:
        return 0
    _write(done.files, done.rows)
    _print(done.rows)
    print(f"leaderboard and evidence: {options.out}", file=sys.stderr)
    return max(_complain(done.rows), 1 if done.record["failures"] else 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Computed:
    """The rows of a request, the record that was kept of it, and the folder's files."""

    rows: list[Row]
    record: dict[str, Any]
    files: RunFiles


def _compute(
    request: Request, catalogue: Catalogue, options: argparse.Namespace, record: str
) -> _Computed | None:
    """Runs all jobs of a request and keeps its record under a name; None for a dry run."""
    cells = make_plan(request, catalogue, _load(request, options))
    launcher = Launcher(options, all_jobs(cells))
    if options.dry_run:
        print(forecast(launcher, len(cells)), end="")
        return None
    store, files = launcher.store, launcher.files

    def begin() -> None:
        store.prepare()
        files.require_locks()
        files.save_run(_record(cells, {}), record)

    outcomes = launcher.run(begin)
    launcher.there()  # listing the folders lets a network file system notice what others wrote
    failures = {key: o.message for key, o in outcomes.items() if o.status in ("failed", "skipped")}
    files.save_run(_record(cells, failures), record)
    rows = [make_row([store], cell.record(), failures) for cell in cells]
    return _Computed(rows=rows, record=_record(cells, failures), files=files)


def _load(request: Request, options: argparse.Namespace) -> dict[str, DataSet]:
    place = data_folder(options)
    data = {name: load(name, Path(place) if place else None) for name in request.datasets}
    part = "test"
    if request.held_out is not None:
        part = f"held-out ({request.held_out:g})"
        data = {name: hold_out(dataset, request.held_out) for name, dataset in data.items()}
    for name, dataset in data.items():
        if request.points is not None and request.points > len(dataset.y_test):
            raise InputError(
                f"--points {request.points}: {name} has {len(dataset.y_test)} {part} inputs"
            )
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
    for name, text in texts.items():
        files.save_text(name, text)


def _print(rows: Sequence[Row]) -> None:
    print(to_markdown(rows), seconds_to_markdown(rows), sep="\n", end="")


def _complain(rows: Sequence[Row]) -> int:
    """Names contradictions on stderr; 1 where there is one."""
    for row in rows:
        where = f"{row['dataset']} {row['arch']} {row['label']} {row['norm']}"
        for text in row["contradictions"][:NAMED]:
            print(f"CONTRADICTION ({where}): {text}", file=sys.stderr)
        if (more := len(row["contradictions"]) - NAMED) > 0:
            print(f"CONTRADICTION ({where}): {more} more, all in leaderboard.json", file=sys.stderr)
    return int(any(row["contradictions"] for row in rows))
