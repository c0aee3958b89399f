"""A run that nobody computed, its subjects and its page."""

from pathlib import Path

import pytest

from bench.data.datasets import DataSet
from bench.plugins.catalogue import Catalogue
from bench.store.results import Store
from leaderboard.board.data import RowData
from leaderboard.page.page import page_html
from leaderboard.page.subjects import Subject, read_subjects
from tests.leaderboard.page.synthetic import Synthetic, write_run

HOSTILE = "</script><b>{}</b>"
"""A label that ends scripts and begins elements, where it is not escaped."""


@pytest.fixture(scope="session")
def page_run(tmp_path_factory: pytest.TempPathFactory, digits: DataSet) -> Path:
    """12 rows of 60 inputs, under two threats."""
    return write_run(tmp_path_factory.mktemp("runs") / "run", Synthetic(data=digits, rows=12))


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory: pytest.TempPathFactory, digits: DataSet) -> Path:
    """Two rows whose texts are markup, and whose evidence conflicts."""
    made = Synthetic(data=digits, rows=2, label=HOSTILE, setting="<img src=x>", contradicted=True)
    return write_run(tmp_path_factory.mktemp("hostile") / "run", made)


@pytest.fixture(scope="session")
def subjects(page_run: Path) -> list[Subject]:
    return read_subjects([Store(page_run)])


@pytest.fixture(scope="session")
def page(page_run: Path, catalogue: Catalogue) -> str:
    return page_html([Store(page_run)], RowData(catalogue=catalogue))


@pytest.fixture(scope="session")
def hostile_page(hostile_run: Path, catalogue: Catalogue) -> str:
    return page_html([Store(hostile_run)], RowData(catalogue=catalogue))
