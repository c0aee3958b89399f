"""What the commands that compute share: plugins, the computation, its rows, its complaints."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.cli.run_options import data_place
from bench.pipeline.requests import Computed, compute, plan_requests
from bench.plugins.catalogue import Catalogue
from bench.plugins.discovery import discover
from bench.request import Request
from bench.run.report import forecast
from bench.run.run_options import RunOptions
from bench.store.results import Store
from bench.store.run_record import CellRecord
from leaderboard.brief import row_to_line
from leaderboard.row import Row
from leaderboard.rows import make_row

NAMED = 10  # contradictions of a row that are printed


def catalogue_of(options: argparse.Namespace) -> Catalogue:
    """Everything that options let take part. Raises InputError."""
    data = getattr(options, "data", None)
    return discover([Path(file) for file in options.plugin], data_place(data))


def computed(
    requests: Sequence[Request], catalogue: Catalogue, running: RunOptions, record: str
) -> Computed | None:
    """What the requests ask for, computed; None where only a forecast was wanted."""
    planned = plan_requests(requests, catalogue, running)
    if running.forecast:
        print(forecast(planned.launcher, len(planned.cells)), end="")
        return None
    return compute(planned, record, _describe)


def _describe(store: Store, cell: CellRecord, failures: Mapping[str, str]) -> str:
    return row_to_line(make_row([store], cell, failures))


def rows_of(done: Computed) -> list[Row]:
    """A row for each cell, as far as its jobs have ended."""
    return [make_row([done.store], cell.record(), done.failures) for cell in done.cells]


def complain(rows: Sequence[Row]) -> int:
    """Names contradictions on stderr; 1 where there is one."""
    for row in rows:
        where = f"{row.dataset} {row.arch} {row.label} {row.norm}"
        for text in row.contradictions[:NAMED]:
            print(f"CONTRADICTION ({where}): {text}", file=sys.stderr)
        if (more := len(row.contradictions) - NAMED) > 0:
            print(f"CONTRADICTION ({where}): {more} more, all in leaderboard.json", file=sys.stderr)
    return int(any(row.contradictions for row in rows))
