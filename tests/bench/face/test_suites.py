"""Suites with parts, and the suites that come with the bench."""

import csv
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from bench.__main__ import main
from bench.cli.parser import parsed
from bench.data.datasets import DataSet
from bench.data.sources import SOURCES
from bench.face.requests import make_requests
from bench.face.suites import read_suite, suites
from bench.jobs.cell import Cell
from bench.plan.cells import make_plan, once
from bench.plan.request import Request
from bench.plugins.catalogue import Catalogue
from leaderboard.published import FILE
from relu.errors import InputError

TABLES = [f"table{i}" for i in range(1, 7)]


@pytest.fixture(scope="session")
def blank() -> Mapping[str, DataSet]:
    """Every data set in shape, with three images without anything on them."""
    return {
        name: DataSet(
            name=name,
            classes=source.classes,
            x_train=torch.zeros(3, *source.shape),
            y_train=torch.zeros(3, dtype=torch.int64),
            x_test=torch.zeros(3, *source.shape),
            y_test=torch.zeros(3, dtype=torch.int64),
        )
        for name, source in SOURCES.items()
    }


def requests(catalogue: Catalogue, suite: str, *more: str) -> list[Request]:
    options = parsed(["run", "--suite", suite, *more])
    return make_requests(options, catalogue)


def cells(asked: list[Request], catalogue: Catalogue, data: Mapping[str, DataSet]) -> list[Cell]:
    return once(cell for request in asked for cell in make_plan(request, catalogue, data))


def write(folder: Path, text: str) -> str:
    (folder / "mine.toml").write_text(text)
    return str(folder / "mine.toml")


PARTS = """
methods = ["plain", "at"]
epochs = 3
eval = "pgd"
set."at.steps" = 2
grid."pgd.restarts" = [1, 2]

[[part]]
norm = "linf"
points = 20
[part.set.at]
steps = 5

[[part]]
norm = "l2"
methods = "at"
points = "all"
eval = ["pgd", "kw"]
set."evaluators.kw.bisection_steps" = 1
"""


def test_a_part_wins_over_the_suite_and_its_settings_are_merged(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    first, second = requests(catalogue, write(tmp_path, PARTS))
    assert (first.norms, first.methods, first.points) == (("linf",), ("plain", "at"), 20)
    assert (second.norms, second.methods, second.points) == (("l2",), ("at",), "all")
    assert first.epochs == second.epochs == 3
    pgd = [{"restarts": 1}, {"restarts": 2}]
    assert first.overrides == tuple(
        {("method", "at"): {"steps": 5}, ("evaluator", "pgd"): some} for some in pgd
    )
    assert second.overrides == tuple(
        {
            ("method", "at"): {"steps": 2},
            ("evaluator", "kw"): {"bisection_steps": 1},
            ("evaluator", "pgd"): some,
        }
        for some in pgd
    )


def test_the_command_line_wins_over_every_part(tmp_path: Path, catalogue: Catalogue) -> None:
    more = (
        "--points",
        "7",
        "--norm",
        "l1",
        "--epochs",
        "1",
        "--set",
        "at.steps=9",
        "--set",
        "kw.bisection_steps=0",
        "--grid",
        "pgd.restarts=4",
        "--no-cascade",
    )
    for request in requests(catalogue, write(tmp_path, PARTS), *more):
        assert (request.points, request.norms, request.epochs) == (7, ("l1",), 1)
        assert not request.cascade
        (overrides,) = request.overrides
        assert overrides["method", "at"] == {"steps": 9}
        assert overrides["evaluator", "pgd"] == {"restarts": 4}
        assert overrides.get(("evaluator", "kw"), {"bisection_steps": 0}) == {"bisection_steps": 0}


def test_a_setting_that_is_about_no_part_is_refused(tmp_path: Path, catalogue: Catalogue) -> None:
    for setting, complaint in (
        ("mip.seconds=1", "'mip' is not part of this run"),
        ("at.stps=1", "did you mean 'steps'"),
        ("evaluators.kw.bisection_steps=x", "must be of type int"),
    ):
        with pytest.raises(InputError, match=complaint):
            requests(catalogue, write(tmp_path, PARTS), "--set", setting)


def test_the_plan_is_what_the_parts_plan_and_each_cell_once(
    tmp_path: Path, catalogue: Catalogue, blank: Mapping[str, DataSet]
) -> None:
    text = (
        'methods = "plain"\neval = "pgd"\npublished = "table1"\n[[part]]\nnorm = "linf"\n'
        '[[part]]\nnorm = ["l2", "linf"]\npublished = "table2"\n'
    )
    asked = requests(catalogue, write(tmp_path, text))
    found = cells(asked, catalogue, blank)
    assert [(cell.norm, cell.published) for cell in found] == [
        ("linf", ("table1", "table2")),
        ("l2", ("table2",)),
    ]
    apart = cells([asked[0], dataclasses.replace(asked[0], cascade=False)], catalogue, blank)
    assert len({cell.group for cell in apart}) == 2


def test_all_points_are_all_test_inputs_there_are(catalogue: Catalogue, digits: DataSet) -> None:
    large = dataclasses.replace(
        digits, x_test=digits.x_test.repeat(3, 1, 1, 1), y_test=digits.y_test.repeat(3)
    )
    for typed, points in (("all", 1335), ("ALL", 1335), ("1200", 1200), (None, 1000)):
        more = [] if typed is None else ["--points", typed]
        options = parsed(["run", "--methods", "plain", "--eval", "pgd", *more])
        (request,) = make_requests(options, catalogue)
        (cell,) = make_plan(request, catalogue, {"digits": large})
        assert cell.points == points
        assert cell.judges["pgd"][-1].settings["stop"] == points


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("part = 3", "part must be tables such as [[part]]"),
        ("part = []", "part must be tables"),
        ("[part]\nnorm = 'l2'", "part must be tables"),
        ("[[part]]\nnrm = 'l2'", "did you mean 'norm'"),
        ("[[parts]]\nnorm = 'l2'", "did you mean 'part'"),
        ("[[part]]\n[[part.part]]\nnorm = 'l2'", "unknown key 'part'"),
        ("[[part]]\nset = 3", "set must be a table"),
        ("[[part]]\ncascade = 1", "cascade must be true or false, got 1"),
        ("published = 1", "published must be a name, got 1"),
        ("methods = 'plain'\npublished = 'tabel1'", "did you mean 'table1'"),
        ("[[part]]\nmethods = 'plain'\n[[part]]", "mine.toml: methods expects one or more of"),
        ("methods = 'plain'\npoints = 'some'", "mine.toml: points expects a whole number from 1"),
        ("methods = 'plain'\npoints = ['all', 3]", "mine.toml: points expects one number"),
        ("methods = 'plian'", "mine.toml: methods: unknown method 'plian'"),
        ("methods = 'plain'\neval = 'pgdd'", "mine.toml: eval: unknown evaluator 'pgdd'"),
        ("methods = 'plain'\ndataset = 'minst'", "mine.toml: dataset: unknown data set 'minst'"),
        ("methods = 'plain'\narch = 'cn'", "mine.toml: arch: unknown architecture 'cn'"),
        ("methods = 'plain'\nnorm = 'l3'", "mine.toml: norm: unknown norm 'l3'"),
        ("methods = 'plain'\nnorm = []", "mine.toml: norm expects names or numbers"),
        ("methods = 'plain'\neps = 'x'", "mine.toml: eps: eps must be a positive number"),
        ("methods = 'plain'\neps = 8", "mine.toml: eps: linf eps 8 reaches across"),
        ("methods = 'plain'\nbox = '1,2'", "mine.toml: box: box must be LOW,HIGH"),
        ("methods = 'plain'\nseeds = 'a'", "mine.toml: seeds expects a whole number from 0"),
        ("methods = 'plain'\nepochs = 0", "mine.toml: epochs expects a whole number from 1"),
        ("methods = 'plain'\npoints = 446", "mine.toml: points 446: digits has 445 test inputs"),
        ("methods = 'plain'\nset = {steps = 3}", "mine.toml: set expects name.field=value"),
        ("methods = 'plain'\nset = {'pgd.steps' = 'x'}", "mine.toml: set pgd.steps=x: pgd.steps"),
        (
            "methods = 'plain'\nset = {'pgd.steps' = 0}",
            "mine.toml: set pgd.steps=0: pgd.steps must be at least 1",
        ),
        ("methods = 'plain'\ngrid = {'pgd.steps' = ['x']}", "mine.toml: grid pgd.steps=x: pgd"),
        ("methods = 'plain'\ngrid = {'pgd.steps' = []}", "mine.toml: grid pgd.steps expects"),
        ("methods = 'plain'\npublished = 'tabel1'", "mine.toml: published: unknown published"),
    ],
)
def test_what_is_wrong_with_a_suite_is_one_line(
    text: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["run", "--suite", write(tmp_path, text), "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert complaint in printed.err
    assert printed.err.count("\n") == 1
    assert not out.exists()


def test_list_shows_suites_and_what_they_are_set_beside(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.partition("SUITES")[2].splitlines()[1:]
    shown = {line.split()[0]: line for line in lines if line}
    assert set(shown) == {*TABLES, "demo", "figure3", "figure3_small", "figure4"}
    assert "Table 1 of Croce" in shown["table1"]
    assert "published table1" in shown["table1"]
    assert "published" not in shown["demo"]


@pytest.mark.parametrize("name", suites())
def test_what_a_suite_names_is_there(
    name: str, catalogue: Catalogue, blank: Mapping[str, DataSet]
) -> None:
    asked = requests(catalogue, name)
    found = cells(asked, catalogue, blank)
    assert found
    for request in asked:
        assert request.published in (name, None)
    for cell in found:  # MIP has no say on l2, which is why no suite asks it there
        assert not cell.refusals or name == "demo", cell.refusals


@pytest.mark.parametrize("name", TABLES)
def test_a_suite_has_the_cells_of_its_table(
    name: str, catalogue: Catalogue, blank: Mapping[str, DataSet]
) -> None:
    # Cells do not depend on the evaluators; the settings in the suites are about these two.
    found = cells(requests(catalogue, name, "--eval", "kw,region"), catalogue, blank)
    with FILE.open(encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["table"] == name]
    keys = ("dataset", "norm", "arch", "method")
    assert {tuple(getattr(cell, key) for key in keys) for cell in found} == {
        tuple(line[key] for key in keys) for line in lines
    }
    assert {cell.published for cell in found} == {(name,)}


def test_the_suites_follow_the_papers_protocol() -> None:
    points = {}
    evaluators = {}
    for part in read_suite("table1"):
        points[part["norm"]] = part.get("points")
        evaluators[part["norm"]] = part["eval"]
    assert points == {"linf": None, "l2": "all"}
    assert evaluators["linf"] == [*evaluators["l2"], "mip"]
    for name in TABLES[1:]:
        (part,) = read_suite(name)
        assert part["norm"] == "l2"
        assert part["set"] == {"evaluators.kw.box": False, "evaluators.kw.bisection_steps": 14}
        assert part.get("points") == ("all" if name == "table3" else None)
        assert part.get("cascade", True) == (name != "table4")
    (figure,) = read_suite("figure3")
    assert figure["grid"] == {"mmr.weight": [0, 0.5, 1, 2, 3]}
    assert (figure["eps"], figure["set"]["mmr.gamma"]) == (0.1, 0.15)


def test_settings_of_what_the_options_leave_out_are_left_out_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = tmp_path / "some.toml"
    suite.write_text(
        'methods = ["plain"]\neval = ["pgd", "kw", "region"]\n'
        '[set]\n"evaluators.kw.box" = false\n[grid]\n"region.neighbours" = [0, 5]\n'
    )
    command = ["run", "--suite", str(suite), "--dry-run"]
    assert main(command) == 0
    assert "2 cells" in capsys.readouterr().out
    assert main([*command, "--eval", "pgd"]) == 0
    assert "1 cell" in capsys.readouterr().out
    assert main([*command, "--eval", "pgd", "--set", "kw.bisection_steps=3"]) == 2
    assert "'kw' is not part of this run" in capsys.readouterr().err
