"""A folder of runs as a page with a line for each."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bench.store.results import Store
from bench.store.run_files import RUN
from leaderboard.page.page import rendered
from leaderboard.page.subjects import Subject, read_subjects
from leaderboard.page.table import lines

PAGE = "page.html"


@dataclass(frozen=True, kw_only=True)
class Best:
    """The row whose robust error is proven to be the least; shares: in percent."""

    label: str
    text: str
    shares: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A run of the index, and where its page is."""

    name: str
    link: str
    rows: int
    datasets: str
    threats: str
    methods: str
    best: Best | None


def runs_in(folder: Path) -> list[Path]:
    """The run folders right inside a folder, by name."""
    return sorted(path.parent for path in folder.glob(f"*/{RUN}"))


def index_html(folder: Path, runs: Sequence[Path], file: Path) -> str:
    """The page, to be written into `file`, that leads to the page of each run."""
    entries = [_entry(run, file.parent) for run in runs]
    return rendered("index.html", entries=entries, folder=folder.resolve().name)


def _entry(run: Path, start: Path) -> Entry:
    subjects = read_subjects([Store(run)])
    rows = [subject.row for subject in subjects]
    return Entry(
        name=run.name,
        link=quote(Path(os.path.relpath(run / PAGE, start)).as_posix()),
        rows=len(rows),
        datasets=", ".join(dict.fromkeys(row.dataset for row in rows)),
        threats="; ".join(dict.fromkeys(str(row.threat) for row in rows)),
        methods=", ".join(dict.fromkeys(row.label for row in rows)),
        best=_best(subjects),
    )


def _best(subjects: Sequence[Subject]) -> Best | None:
    judged = [
        Best(label=line.label, text=cell.text, shares=line.shares)
        for line in lines(subjects)
        for cell in line.cells
        if cell.kind == "share" and line.shares
    ]
    return max(judged, key=lambda best: best.shares["certified"], default=None)
