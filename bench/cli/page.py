"""`page`: finished runs as one HTML file, and folders of runs as an index."""

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.face.options import Options
from bench.face.reading import row_data
from bench.store.results import Store
from bench.store.run_files import RUN, save_page
from leaderboard.board.data import RowData
from leaderboard.page.index import PAGE, index_html, runs_in
from leaderboard.page.page import page_html
from relu.errors import InputError


def page_command(options: Options) -> int:
    """Writes the page of finished runs, or of each run in a folder and an index; 0."""
    if options.out == "":
        raise InputError("--out expects a value, got ''")
    folders = [Path(run) for run in options.runs]
    data = row_data(options, download=False)
    pages = _pages(folders, _target(options.out, folders), data)
    for file, text in pages.items():
        save_page(file, text)
    print(f"page: {list(pages)[-1]}", file=sys.stderr)
    return 0


def _target(out: str | None, folders: Sequence[Path]) -> Path:
    """The file to write. Raises InputError where several runs name none."""
    if out is not None:
        return Path(out)
    if len(folders) > 1:
        raise InputError("several runs become one page: name its file with --out")
    return folders[0] / PAGE


def _pages(folders: Sequence[Path], target: Path, data: RowData) -> dict[Path, str]:
    """File -> page, the one that was asked for last. Raises InputError before anything is written.

    A folder that is no run, but holds some, becomes an index of these.
    """
    inside = [] if (folders[0] / RUN).exists() else runs_in(folders[0])
    if len(folders) > 1 or not inside:
        return {target: page_html([Store(folder) for folder in folders], data)}
    pages = {run / PAGE: page_html([Store(run)], data) for run in inside}
    return pages | {target: index_html(folders[0], inside, target)}
