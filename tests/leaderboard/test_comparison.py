"""Measured beside published: the join, the tables, and the files of a run."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.__main__ import main
from leaderboard.comparison import beside_to_csv, beside_to_markdown
from leaderboard.published import FILE, QUANTITIES, published, tables
from leaderboard.row import Row
from leaderboard.rows import read_rows
from tests.leaderboard.test_attribution import part
from tests.leaderboard.test_tables import cells
from tests.leaderboard.test_tables import row as any_row


def row(table: str, **changes: Any) -> Row:
    about = {
        "dataset": "mnist",
        "arch": "fc1",
        "norm": "l2",
        "eps": 0.3,
        "method": "mmr",
        "label": "MMR",
        "settings": {},
        "published": [table],
    }
    return any_row(**about | changes)


def shown(*rows: Row) -> list[dict[str, str]]:
    header, _, *lines = cells(beside_to_markdown(rows))
    return [dict(zip(header, line, strict=True)) for line in lines]


def test_every_published_quantity_can_be_measured() -> None:
    lines = pd.read_csv(FILE)
    assert set(lines["column"]) == set(QUANTITIES)
    assert tables() == [f"table{i}" for i in range(1, 7)]
    assert len(lines) == 485


def test_a_row_is_found_by_what_it_is_about() -> None:
    assert published(row("table1"), "table1") == {
        "test_error": "2.40",
        "robust_error_low": "5.9",
        "robust_error_high": "8.8",
    }
    signs = {"dataset": "gts", "norm": "linf", "method": "plain"}
    assert published(row("table1", eps=4 / 255, **signs), "table1")["test_error"] == "12.72"
    for other in (
        {"eps": 0.0157, **signs},
        {"dataset": "digits"},
        {"method": "my_defense"},
        {"eps": 0.31},
        {"arch": "fc10"},
    ):
        assert published(row("table1", **other), "table1") == {}
    assert published(row("table2", eps=0.7), "table2")["radius_low"] == "0.69"


def test_measured_published_and_difference_stand_together() -> None:
    (line,) = shown(row("table1", test_error=0.0269, robust_error_low=0.03, robust_error_high=None))
    assert line["threat"] == "l2 0.3"
    assert line["method"] == "MMR"
    assert line["test error (%)"] == "2.69 (2.40, +0.29)"
    assert line["robust error ≥ (%)"] == "3.00 (5.9, -2.90)"
    assert line["robust error ≤ (%)"] == "– (8.8)"
    assert "radius ≥" not in line


def test_seeds_are_a_mean_and_a_missing_one_a_dash() -> None:
    rows = [
        row("table2", seed=s, radius_low=r, radius_high=h)
        for s, r, h in ((0, 0.6, 1.6), (1, 0.7, None))
    ]
    (line,) = shown(*rows)
    assert line["method"] == "MMR (2 seeds)"
    assert line["radius ≥"] == "0.65 (0.69, -0.04)"
    assert line["radius ≤"] == "– (1.69)"


def test_exact_radii_over_kw_are_a_ratio_in_percent() -> None:
    (line,) = shown(row("table3", exact_correct_share=0.015, exact_over_kw=0.1511))
    assert line["over KW (%)"] == "15.11 (14.11, +1.00)"
    assert line["exact (%)"] == "1.50 (0.20, +1.30)"
    assert "of the correctly classified inputs" in beside_to_markdown([row("table3")])
    (line,) = shown(row("table3"))
    assert line["over KW (%)"] == "– (14.11)"


def test_own_radii_of_evaluators_belong_to_the_row_with_their_setting() -> None:
    kw = {"kw": part(radius_low=0.7)}
    region = {"region": part(radius_low=0.25)}
    five = {"region.neighbours": 5}
    rows = [
        row("table4", settings={"region.neighbours": n}, group=str(n), contributions=kw | region)
        for n in (0, 5)
    ]
    rows += [row("table4", settings=five, group="x", contributions=kw)]
    none, some, silent = shown(*rows)
    assert none["KW's radius ≥"] == "0.70 (0.69, +0.01)"
    assert none["region's radius ≥"] == "0.25 (0.22, +0.03)"
    assert none["region's radius ≥, 5 neighbours"] == "–"
    assert some["region's radius ≥"] == "–"
    assert some["region's radius ≥, 5 neighbours"] == "0.25 (0.29, -0.04)"
    assert silent["region's radius ≥, 5 neighbours"] == "– (0.29)"


def test_a_difference_that_rounds_to_nothing_has_no_minus() -> None:
    (line,) = shown(row("table1", test_error=0.023999))
    assert line["test error (%)"] == "2.40 (2.40, +0.00)"


def test_the_csv_has_a_line_for_each_row_and_quantity_in_full() -> None:
    table = pd.read_csv(StringIO(beside_to_csv([row("table1", robust_error_high=None)])))
    assert table["quantity"].tolist() == ["test_error", "robust_error_low", "robust_error_high"]
    assert table["measured"].tolist()[:2] == pytest.approx([1.8, 4.12])
    assert table["published"].tolist() == [2.4, 5.9, 8.8]
    assert table["difference"].tolist()[:2] == pytest.approx([-0.6, -1.78])
    assert table[["measured", "difference"]].isna().sum().tolist() == [1, 1]
    assert set(table["table"]) == {"table1"}


def test_rows_that_no_table_speaks_of_are_left_out() -> None:
    old = any_row()  # of a run that knew no published tables
    mine = row("table1", method="mine", label="mine", group="h")
    assert beside_to_markdown([old, mine]) == ""
    assert len(shown(old, mine, row("table1", group="i"))) == 1


def test_each_table_stands_apart() -> None:
    both = beside_to_markdown([row("table1", published=["table1", "table2"])])
    assert both.count("Measured beside published") == 2
    assert both.count("shares in percent") == 1


SUITE = """
published = "{}"
methods = ["plain"]
dataset = "mnist"
arch = "fc1"
norm = "l2"
eval = "pgd"
epochs = 1
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., int]:
    """Runs a suite on a few random images under the name of MNIST."""
    x = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    y = np.arange(12) % 10
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x, y_test=y)

    def call(table: str, out: Path, *more: str) -> int:
        suite = tmp_path / "suite.toml"
        suite.write_text(SUITE.format(table) if table else SUITE.replace("published", "#"))
        places = ("--suite", str(suite), "--data", str(tmp_path), "--out", str(out))
        return main(["run", *places, "--engine", "inline", "--set", "pgd.steps=2", *more])

    return call


@pytest.mark.processes
def test_a_run_prints_and_keeps_what_leaderboard_redraws(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, both = (tmp_path / name for name in ("first", "second", "both"))
    assert run("Table 3", first) == 0
    printed = capsys.readouterr().out
    beside = (first / "published.md").read_text()
    parts = [(first / name).read_text() for name in ("leaderboard.md", "seconds.md")]
    assert printed == "\n".join([parts[0], beside, parts[1]])
    assert "beside published, table3" in beside
    kept = {name: (first / name).read_bytes() for name in ("published.md", "published.csv")}
    for name in kept:
        (first / name).unlink()
    assert main(["leaderboard", str(first)]) == 0
    assert {name: (first / name).read_bytes() for name in kept} == kept

    assert run("table5", second) == 0
    assert main(["leaderboard", str(first), str(second), "--out", str(both)]) == 0
    (merged,) = read_rows([first, second])
    assert merged.published == ("table3", "table5")
    assert (both / "published.md").read_text().count("Measured beside published") == 2

    assert run("", first) == 0  # the latest command has nothing published
    assert not (first / "published.md").exists()
    assert not (first / "published.csv").exists()
    assert (first / "leaderboard.md").read_text() == parts[0]
