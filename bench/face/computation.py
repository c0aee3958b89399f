"""What all that computes shares: plugins, the computation, its rows, its complaints."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.face.options import Options
from bench.face.run_options import data_place
from bench.pipeline.requests import Computed, compute, plan_requests
from bench.plan.request import Request
from bench.plugins.catalogue import Catalogue
from bench.plugins.discovery import discover
from bench.scheduling.report import forecast
from bench.scheduling.run_options import RunOptions
from bench.store.results import Store
from bench.store.run_record import CellRecord
from leaderboard.brief import row_to_line
from leaderboard.row import Row
from leaderboard.rows import make_row

NAMED = 10  # contradictions of a row that are printed


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What came of a computation. text: its tables in markdown; rows: what these are about.

    status: 0, or 1 where a job failed or evidence conflicts.
    """

    text: str
    rows: tuple[Row, ...]
    status: int


def catalogue_of(options: Options) -> Catalogue:
    """Everything that options let take part. Raises InputError."""
    return discover([Path(file) for file in options.plugin], data_place(options.get("data")))


def computed(
    requests: Sequence[Request], catalogue: Catalogue, running: RunOptions, record: str
) -> Computed | None:
    """What the requests ask for, computed; None where only a forecast was wanted."""
    planned = plan_requests(requests, catalogue, running)
    if running.forecast:
        sys.stdout.write(forecast(planned.launcher, len(planned.cells)))
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
            sys.stderr.write(f"CONTRADICTION ({where}): {text}\n")
        if (more := len(row.contradictions) - NAMED) > 0:
            sys.stderr.write(f"CONTRADICTION ({where}): {more} more, all in leaderboard.json\n")
    return int(any(row.contradictions for row in rows))
