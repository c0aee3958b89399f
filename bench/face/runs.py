"""`run` and `eval`: what is asked for, computed, its leaderboard written into the run folder."""

import dataclasses
import sys
from collections.abc import Sequence

from bench.face.cell_filter import keep
from bench.face.computation import Finished, catalogue_of, complain, computed, rows_of
from bench.face.guest import make_guest, near_chance
from bench.face.options import Options
from bench.face.requests import make_requests
from bench.face.run_options import parse_run_options
from bench.parsing import resolve
from bench.plan.request import Request
from bench.plugins.catalogue import Catalogue
from bench.scheduling.run_options import RunOptions
from bench.store.run_files import RUN, RunFiles
from leaderboard.files import printed, written
from leaderboard.published import tables
from leaderboard.row import Row
from relu.errors import InputError


def finished_run(options: Options) -> Finished | None:
    """Trains and judges; None where only a forecast was asked for. Raises InputError."""
    running = parse_run_options(options)
    catalogue = catalogue_of(options)
    requests = make_requests(options, catalogue)
    for request in requests:
        if not request.methods:
            where = f"suite {request.suite}: methods" if request.suite else "--methods"
            raise InputError(f"{where} expects one or more of {', '.join(catalogue.methods)}")
    kept = keep([_with_table(request) for request in requests], options.only, catalogue)
    return _finished(kept, catalogue, running)


def finished_eval(options: Options) -> Finished | None:
    """Judges a checkpoint like a network of our own; None for a forecast. Raises InputError."""
    running = parse_run_options(options)
    catalogue = catalogue_of(options)
    guest = make_guest(options, catalogue)
    finished = _finished([guest.request], guest.catalogue, running)
    for row in finished.rows[:1] if finished else ():
        sys.stderr.write(near_chance(row.test_error, guest.classes))
    return finished


def write_leaderboard(files: RunFiles, rows: Sequence[Row]) -> None:
    """Everything that a run folder says of its rows."""
    for name, text in written(rows).items():
        files.save_text(name, text)


def _finished(
    requests: Sequence[Request], catalogue: Catalogue, running: RunOptions
) -> Finished | None:
    done = computed(requests, catalogue, running, RUN)
    if done is None:
        return None
    rows = rows_of(done)
    write_leaderboard(done.files, rows)
    status = max(complain(rows), 1 if done.failures else 0)
    return Finished(text=printed(rows), rows=tuple(rows), status=status)


def _with_table(request: Request) -> Request:
    """With the published table by its name. Raises InputError where there is none."""
    if request.published is None:
        return request
    try:
        table = resolve(request.published, dict.fromkeys(tables(), ()), "published table")
    except InputError as error:
        raise InputError(f"suite {request.suite}: published: {error}") from error
    return dataclasses.replace(request, published=table)
