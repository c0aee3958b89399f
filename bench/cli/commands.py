"""The commands: some compute (run, eval, tune, front, verify), the others read finished runs."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cli.cell_filter import keep
from bench.cli.computing import catalogue_of, complain, computed, rows_of
from bench.cli.export import export_command as export_command
from bench.cli.front import front_command as front_command
from bench.cli.guest import make_guest, near_chance
from bench.cli.listing import listed
from bench.cli.requests import make_requests
from bench.cli.run_options import parse_run_options
from bench.cli.tune_request import command, make_search
from bench.cli.verify import verify_command as verify_command
from bench.parsing import resolve
from bench.plugins.catalogue import Catalogue
from bench.request import Request
from bench.run.report import standing
from bench.run.run_options import RunOptions
from bench.search.tune import make_trials, ranked
from bench.store.results import Store, require_folder
from bench.store.run_files import RUN, TUNE, RunFiles
from leaderboard.files import printed, written
from leaderboard.pairs import pairs_of, pairs_to_markdown
from leaderboard.published import tables
from leaderboard.ratios import HINT, ratios, ratios_to_csv, ratios_to_markdown, ratios_to_svg
from leaderboard.row import Row
from leaderboard.rows import read_judged, read_rows
from leaderboard.trials import search_record, search_to_markdown, trials_to_csv
from relu.errors import InputError


def run_command(options: argparse.Namespace) -> int:
    """Trains, judges, prints the leaderboard; 0, or 1 where a job failed or evidence conflicts."""
    running = parse_run_options(options)
    catalogue = catalogue_of(options)
    requests = make_requests(options, catalogue)
    for request in requests:
        if not request.methods:
            where = f"suite {request.suite}: methods" if request.suite else "--methods"
            raise InputError(f"{where} expects one or more of {', '.join(catalogue.methods)}")
    kept = keep([_with_table(request) for request in requests], options.only, catalogue)
    return _leaderboard(kept, catalogue, running, options.out).status


def eval_command(options: argparse.Namespace) -> int:
    """Judges a checkpoint like a network of our own."""
    running = parse_run_options(options)
    catalogue = catalogue_of(options)
    guest = make_guest(options, catalogue)
    done = _leaderboard([guest.request], guest.catalogue, running, options.out)
    for row in done.rows[:1]:
        sys.stderr.write(near_chance(row.test_error, guest.classes))
    return done.status


def tune_command(options: argparse.Namespace) -> int:
    """Tries a method's settings on held-out training images, prints the trials and the choice."""
    running = parse_run_options(options)
    catalogue = catalogue_of(options)
    search = make_search(options, catalogue)
    done = computed(keep([search.request], options.only, catalogue), catalogue, running, TUNE)
    if done is None:
        return 0
    rows = rows_of(done)
    trials = ranked(make_trials(search, rows))
    best = trials[0] if trials[0].whole else None
    run = command(search, best, options, catalogue) if best else None
    text = search_to_markdown(trials, run, share=search.share)
    done.files.save_text("tune.md", text)
    done.files.save_text("tune.csv", trials_to_csv(trials))
    kept = search_record(trials, run, share=search.share)
    done.files.save_run(done.record().to_json() | kept, TUNE)
    print(text, end="")
    print(f"trials and choice: {options.out}/tune.md, .csv, .json", file=sys.stderr)
    return max(complain(rows), 1 if done.failures or best is None else 0)


def leaderboard_command(options: argparse.Namespace) -> int:
    """Prints the rows of finished runs, and writes them where asked; nothing is computed anew."""
    folders = [Path(folder) for folder in options.runs]
    target = _drawn_into(options.out, folders)
    rows = read_rows(folders)
    if target is not None:
        Store(target).prepare()
        _write(RunFiles(target), rows)
    print(printed(rows), end="")
    return complain(rows)


def _drawn_into(out: str | None, folders: Sequence[Path]) -> Path | None:
    """The folder for a redrawn leaderboard, None where it is only printed. Raises InputError."""
    if out is None:  # an archive is only printed
        return folders[0] if len(folders) == 1 and os.access(folders[0], os.W_OK) else None
    if out == "":
        raise InputError("--out expects a value, got ''")
    target = Path(out)
    require_folder(target)
    if (target / "run.json").exists() and [target.resolve()] != [f.resolve() for f in folders]:
        raise InputError(f"--out {out!r} holds a run of its own: name another folder")
    return target


def compare_command(options: argparse.Namespace) -> int:
    """Says of every two methods of finished runs whether one beats the other; 0."""
    rows = read_rows([Path(folder) for folder in options.runs])
    pairs = list(pairs_of(rows))
    if not pairs:
        raise InputError(
            "compare expects two methods that were judged on the same inputs under one threat; "
            f"{' and '.join(options.runs)} {'has' if options.runs[1:] == [] else 'have'} none"
        )
    print(pairs_to_markdown(pairs), end="")
    return 0


def ratios_command(options: argparse.Namespace) -> int:
    """How far a run's attacks are from exact radii: a table, all ratios, a figure; 0."""
    folder = Path(options.run)
    wanted = [catalogue_of(options).find("evaluator", e).name for e in options.eval or ()]
    curves = ratios(read_judged(folder), wanted)
    if not curves:
        who = f"{' or '.join(wanted)} has" if wanted else "any evaluator has"
        raise InputError(
            f"{options.run!r} has no input with an exact radius of which {who} a witness: "
            "evaluators without a cascade see all inputs (run --no-cascade --eval region,...)"
        )
    print(ratios_to_markdown(curves), end="")
    files = RunFiles(folder)
    figure = ratios_to_svg(curves)
    files.save_text("ratios.csv", ratios_to_csv(curves))
    files.save_text("ratios.svg", figure)
    kept = "ratios.csv, .svg" if figure else f"ratios.csv ({HINT})"
    print(f"all ratios: {options.run}/{kept}", file=sys.stderr)
    return 0


def status_command(options: argparse.Namespace) -> int:
    """Shows how the runs on a folder stand; 0."""
    root = Path(options.run)
    print(standing(root), end="")
    return 0


def list_command(options: argparse.Namespace) -> int:
    """Shows what --methods, --eval, --dataset, --arch, --set and --suite accept."""
    print(listed(catalogue_of(options)), end="")
    return 0


def _with_table(request: Request) -> Request:
    """With the published table by its name. Raises InputError where there is none."""
    if request.published is None:
        return request
    try:
        table = resolve(request.published, dict.fromkeys(tables(), ()), "published table")
    except InputError as error:
        raise InputError(f"suite {request.suite}: published: {error}") from error
    return dataclasses.replace(request, published=table)


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """How a command that draws a leaderboard ends, and the rows of it."""

    status: int = 0
    rows: Sequence[Row] = ()


def _leaderboard(
    requests: Sequence[Request], catalogue: Catalogue, running: RunOptions, out: str
) -> _Drawn:
    done = computed(requests, catalogue, running, RUN)
    if done is None:
        return _Drawn()
    rows = rows_of(done)
    _write(done.files, rows)
    print(printed(rows), end="")
    print(f"leaderboard and evidence: {out}", file=sys.stderr)
    print(f"what each evaluator decided: {out}/attribution.md", file=sys.stderr)
    return _Drawn(status=max(complain(rows), 1 if done.failures else 0), rows=rows)


def _write(files: RunFiles, rows: Sequence[Row]) -> None:
    for name, text in written(rows).items():
        files.save_text(name, text)
