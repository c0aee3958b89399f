import csv
import dataclasses
import importlib.util
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

import bench
from bench.data.datasets import DataSet
from bench.plugins.catalogue import Catalogue
from bench.store.results import Store
from leaderboard.board.data import RowData
from leaderboard.latex import escaped
from leaderboard.page import drawing
from leaderboard.page.downloads import csv_records, downloads
from leaderboard.page.index import index_html, runs_in
from leaderboard.page.page import ASSETS, page_html
from leaderboard.page.provenance import show_command
from leaderboard.page.subjects import Subject, read_subjects
from leaderboard.rows import read_rows
from leaderboard.tables import to_csv
from relu.errors import InputError
from tests.leaderboard.page.conftest import HOSTILE
from tests.leaderboard.page.synthetic import Synthetic, write_run

VOID = {"meta", "link", "input", "br", "img"}


class Elements(HTMLParser):
    """The elements of a page in order; fails where their ends do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def block(page: str, name: str) -> str:
    found = re.search(rf'<script type="[^"]*" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found, name
    return found[1]


def test_the_page_is_whole_and_fetches_nothing(page: str) -> None:
    elements = Elements(page).found
    assert "default-src 'none'" in page
    for tag, attributes in elements:
        assert not attributes.get("src")
        assert tag != "link" or attributes["href"] == "data:,"
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {str(a["href"])[1:] for _, a in elements if str(a.get("href")).startswith("#")}
    assert targets <= set(ids)


def test_a_board_gives_the_same_page(page: str, page_run: Path) -> None:
    assert bench.read(page_run).page() == page


def test_the_table_is_there_without_scripts(page: str, page_run: Path) -> None:
    for row in read_rows([page_run]):
        assert f">{row.label}</th>" in page
        assert row.robust_error_high is not None
        assert f"{100 * row.robust_error_high:.2f}</span>" in page


def test_texts_of_others_are_text(hostile_page: str) -> None:
    Elements(hostile_page)
    assert HOSTILE.format("plain") not in hostile_page
    assert "&lt;/script&gt;&lt;b&gt;plain&lt;/b&gt;" in hostile_page
    assert "<img" not in hostile_page
    assert HOSTILE.format("plain") in block(hostile_page, "about-inputs").replace(
        "\\u003c", "<"
    ).replace("\\u003e", ">")


def test_contradictions_are_seen(hostile_page: str) -> None:
    assert "contradicted</strong>" in hostile_page
    assert "its certificates are withdrawn" in hostile_page
    assert '"why":"contradicted"' in block(hostile_page, "pictures-0")


def test_every_judged_row_has_numbers_and_pictures(page: str) -> None:
    about = json.loads(block(page, "about-inputs"))
    assert len(about["rows"]) == 12
    assert {said["count"] for said in about["rows"].values()} == {60}
    images = json.loads(block(page, "images"))
    for number in about["rows"]:
        pictures = json.loads(block(page, f"pictures-{number}"))
        assert len(pictures) == 20
        assert {picture["image"] for picture in pictures} <= set(images)


def test_without_the_data_there_are_no_pictures_and_a_line_says_so(
    tmp_path: Path, page_run: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise InputError("data set digits not found")

    monkeypatch.setattr("leaderboard.board.data.load", gone)
    page = page_html([Store(page_run)], RowData(catalogue=catalogue))
    assert "Pictures: data set digits not found." in page
    assert json.loads(block(page, "images")) == {}


def test_published_values_stand_beside_ours(
    tmp_path: Path, digits: DataSet, catalogue: Catalogue
) -> None:
    made = Synthetic(
        data=dataclasses.replace(digits, name="mnist"), rows=3, points=10, published=("table1",)
    )
    stores = [Store(write_run(tmp_path / "run", made))]
    page = page_html(stores, RowData(catalogue=catalogue, download=False))
    Elements(page)
    published = page[page.index('<section id="published"') : page.index('<section id="inputs"')]
    assert "<td>robust error ≤ (%)</td>" in published
    assert "<td>table1</td>" in published


def test_radii_of_their_own_and_networks_that_failed(
    tmp_path: Path, digits: DataSet, catalogue: Catalogue
) -> None:
    folder = write_run(tmp_path / "run", Synthetic(data=digits, rows=3, points=10, own_radii=True))
    shutil.rmtree(folder / "networks" / "network1")
    shutil.rmtree(folder / "evidence" / "bab2")
    page = page_html([Store(folder)], RowData(catalogue=catalogue))
    Elements(page)
    assert "at, seed 0: not finished" in page
    assert "BaB: not finished" in page
    assert list(json.loads(block(page, "about-inputs"))["rows"]) == ["0", "2"]
    assert 'data-eps="given"' in page


def test_without_matplotlib_one_line_says_what_to_install(
    page_run: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install -e '.\[page\]'"):
        page_html([Store(page_run)], RowData(catalogue=catalogue))


def test_downloads_have_a_part_for_each_row(subjects: list[Subject], page_run: Path) -> None:
    given = downloads(subjects)
    assert "".join(given["csv"]) == to_csv(read_rows([page_run]))
    assert len(given["csv"]) == 13
    assert [row["method"] for row in given["json"]] == [s.row.method for s in subjects]
    head, lines = given["latex"]["head"], given["latex"]["lines"]
    assert len({line.count(" & ") for line in [head.splitlines()[3], *lines]}) == 1
    assert lines[4].startswith(r"mmr\_at & ")


def test_records_of_a_csv_may_have_line_breaks() -> None:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([["a", "b"], ['x\n"y"', "1"], ["", "z"]])
    assert csv_records(file.getvalue()) == ["a,b\n", '"x\n""y""",1\n', ",z\n"]


def test_latex_prints_every_sign() -> None:
    assert escaped("a_b & 5 % {x} \\ ≥") == r"a\_b \& 5 \% \{x\} \textbackslash{} $\ge$"


def test_commands_tell_rows_of_one_method_apart(tmp_path: Path, digits: DataSet) -> None:
    folder = write_run(tmp_path / "a run", Synthetic(data=digits, rows=11, points=5))
    subjects = read_subjects([Store(folder)])
    first, last = (show_command(subjects[i], subjects) for i in (0, 10))
    assert first == f"python -m bench show '{folder}' --method plain --norm linf --input "
    assert last == f"python -m bench show '{folder}' --method plain --norm l2 --input "
    assert show_command(subjects[1], subjects).endswith("--method at --input ")


def test_runs_merge_into_one_page(
    tmp_path: Path, digits: DataSet, page_run: Path, catalogue: Catalogue
) -> None:
    made = Synthetic(data=digits, rows=2, points=60)
    other = write_run(tmp_path / "other", made, first=11)
    stores = [Store(page_run), Store(other)]
    page = page_html(stores, RowData(catalogue=catalogue))
    assert len(json.loads(block(page, "about-inputs"))["rows"]) == 13


def test_a_folder_of_runs_is_an_index(tmp_path: Path, digits: DataSet) -> None:
    for name in ("b<i>", "a"):
        write_run(tmp_path / name, Synthetic(data=digits, rows=2, points=10))
    runs = runs_in(tmp_path)
    assert [run.name for run in runs] == ["a", "b<i>"]
    index = index_html(tmp_path, runs, tmp_path / "page.html")
    links = [a["href"] for tag, a in Elements(index).found if tag == "a"]
    assert links[1:] == ["a/page.html", "b%3Ci%3E/page.html"]
    assert "<i>/" not in index.replace("</i>", "")
    assert "plain, at" in index


@pytest.mark.parametrize("file", sorted(ASSETS.glob("*.css")), ids=lambda file: file.name)
def test_colours_of_charts_are_the_page_s(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    light = text[: text.index("@media")]
    for colour, name in drawing.NAMES.items():
        assert f"--{name}: {colour};" in light
    dark = re.findall(r'\[data-theme="(?:dark|light)"\]\)? \{(.*?)\}', text, re.DOTALL)
    assert len({re.sub(r"\s+", " ", rules) for rules in dark}) == 1


def test_scripts_end_no_script() -> None:
    for file in ASSETS.glob("*.js"):
        assert "</script" not in file.read_text(encoding="utf-8").lower()


def test_assets_are_in_the_package() -> None:
    listed = subprocess.run(
        ["git", "ls-files", str(ASSETS)], capture_output=True, text=True, cwd=ASSETS, check=True
    ).stdout.split()
    assert {Path(name).name for name in listed} >= {"page.css", "page.js", "page.html"}
