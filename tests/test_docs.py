"""The pages tell the truth: options, names, settings, commands, links and places are of today."""

import ast
import configparser
import re
import tomllib
from pathlib import Path

import pytest

from bench.cli import commands
from bench.cli.parser import make_parser, parsed
from bench.data.sources import SOURCES
from bench.face.options import Options
from bench.face.requests import make_request, make_requests
from bench.face.suites import suites
from bench.face.tuning import make_search
from bench.plugins.catalogue import Catalogue
from bench.plugins.discovery import discover
from leaderboard.tables import HEADERS
from relu.network.architectures import ARCHITECTURES
from tests.pages import (
    DOCS,
    PAGES,
    ROOT,
    anchors,
    bench_commands,
    examples,
    inline_code,
    links,
    places,
    text_of,
)

ALL = "\n".join(text_of(page) for page in DOCS)
EXTENDING = ROOT / "docs" / "extending.md"
RUNNING = ROOT / "docs" / "running.md"
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


PLUGINS = {
    "my_defense.py": "class MyDefense",
    "my_attack.py": "class MyAttack",
    "my_net.py": "def build(",
    "my_data.py": "def read(",
}
"""Files that the pages call so, and a line of each."""


@pytest.mark.parametrize("page", [*DOCS, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_no_merge_was_left_half_done(page: Path) -> None:
    assert not re.search(r"^(<{7}|={7}|>{7})( |$)", text_of(page), re.MULTILINE)


@pytest.fixture(scope="module")
def all_plugins(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """The bench's plugins, and the pages' under the names that they give them."""
    folder = tmp_path_factory.mktemp("plugins")
    for name, line in PLUGINS.items():
        (block,) = [text for text in examples(EXTENDING, "python") if line in text]
        (folder / name).write_text(block)
    return discover([folder / name for name in PLUGINS])


def test_every_option_is_explained() -> None:
    for option in make_parser().options() - {"-h", "--help"}:
        assert f"`{option}" in ALL, option


def test_no_option_is_explained_that_is_none() -> None:
    rows = re.findall(r"^\| `(--[a-z-]+)", ALL, flags=re.MULTILINE)
    assert len(rows) > 20
    assert set(rows) <= make_parser().options()


def test_every_name_is_there(catalogue: Catalogue) -> None:
    for name in (*catalogue.methods, *catalogue.evaluators, *ARCHITECTURES, *SOURCES):
        assert f"`{name}`" in ALL, name
    for name in suites():
        assert name in ALL, name
    for key in HEADERS:
        assert f"(`{key}`" in ALL or f"`{key}`)" in ALL, key


@EACH
def test_settings_are_of_today(page: Path, catalogue: Catalogue) -> None:
    plugins = [*catalogue.methods.values(), *catalogue.evaluators.values()]
    fields = {f"{plugin.name}.{field}" for plugin in plugins for field in plugin.fields()}
    names = {plugin.name for plugin in plugins}
    for code in inline_code(page):
        setting = code.partition("=")[0]
        name, _, field = setting.partition(".")
        if name in names and re.fullmatch(r"[\w.]+", field) and field != "py":
            assert setting in fields, code


@EACH
def test_commands_are_understood(page: Path, all_plugins: Catalogue) -> None:
    for words in bench_commands(page):
        if words[-1] != "--help":
            understand(parsed(words), all_plugins)


def understand(options: Options, catalogue: Catalogue) -> None:
    """Reads a command's options as the command itself does, up to where data are needed."""
    assert set(options.get("plugin") or []) <= set(PLUGINS)
    assert hasattr(commands, f"{options.command}_command")
    if options.command in ("run", "eval", "tune"):
        if options.command == "tune":
            make_search(options, catalogue)
        elif options.get("methods") or options.command == "eval" or options.suite:
            assert make_requests(options, catalogue)


def test_there_are_commands_to_understand() -> None:
    assert len([words for page in PAGES for words in bench_commands(page)]) > 30


@EACH
def test_examples_are_of_their_language(page: Path) -> None:
    for text in examples(page, "python"):
        ast.parse(text)
    for text in examples(page, "toml"):
        tomllib.loads(text)


def test_the_example_of_a_suite_is_one(tmp_path: Path, catalogue: Catalogue) -> None:
    (suite,) = examples(RUNNING, "toml")
    (tmp_path / "suite.toml").write_text(suite)
    options = parsed(["run", "--suite", str(tmp_path / "suite.toml")])
    request = make_request(options, catalogue)
    assert request.datasets == ("mnist", "gts")
    assert request.norms == ("linf", "l2")
    assert request.overrides == ({("method", "at"): {"steps": 10}},)


@EACH
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.is_file(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


@EACH
def test_places_exist(page: Path) -> None:
    missing = [place for place in places(page) if not (ROOT / place).exists()]
    assert not missing, page.name


@EACH
def test_environments_of_tox_exist(page: Path) -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    named = re.findall(r"tox run -e ([a-z0-9,]+)", text_of(page))
    known = {name for section in tox.sections() for name in _environments(section)}
    assert {name for names in named for name in names.split(",")} <= known


def _environments(section: str) -> list[str]:
    """What `[testenv:py3{11,12}]` and `[testenv:lint]` define."""
    name = section.removeprefix("testenv:")
    many = re.fullmatch(r"(\w*)\{([\w,]+)\}", name)
    return [many[1] + end for end in many[2].split(",")] if many else [name]


def test_every_page_is_reached_from_the_first() -> None:
    first = ROOT / "docs" / "index.md"
    reached = {target.partition("#")[0] for target in links(first)}
    assert {page.name for page in DOCS} - {first.name} <= reached
