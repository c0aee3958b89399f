"""Where commands about finished runs find what is not in the run folders."""

from pathlib import Path

from bench.face.options import Options
from bench.face.run_options import data_place
from bench.plugins.discovery import discover
from leaderboard.board.data import RowData


def row_data(options: Options, *, download: bool = True) -> RowData:
    """Data sets, given inputs and plugins, as --data, --inputs and --plugin say. InputError.

    download: whether data sets that are nowhere may be fetched.
    """
    place = data_place(options.data)
    catalogue = discover([Path(file) for file in options.plugin], place)
    return RowData(catalogue=catalogue, place=place, inputs=options.inputs or "", download=download)
