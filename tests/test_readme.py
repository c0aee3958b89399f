"""The README tells the truth: it is short, its plugins work, its table is one of today."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from leaderboard.tables import HEADERS
from tests.pages import README, ROOT, examples, text_of

EXTENDING = ROOT / "docs" / "extending.md"
LINES = 150


def example_of(name: str) -> str:
    """The README's example that defines a class of that name."""
    (example,) = [text for text in examples(README, "python") if f"class {name}" in text]
    return example


def rows_of(run: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((run / "leaderboard.json").read_text())
    return rows


def test_it_is_short() -> None:
    assert len(text_of(README).splitlines()) <= LINES


def test_the_example_of_a_method_trains(tmp_path: Path) -> None:
    plugin = tmp_path / "my_defense.py"
    plugin.write_text(example_of("MyDefense"))
    arguments = ["--plugin", str(plugin), "--set", "my_defense.noise=0.2"]
    arguments += ["--eval", "pgd,region", "--epochs", "8", "--points", "20"]
    assert main(["run", "--methods", "my_defense", *arguments, "--out", str(tmp_path / "run")]) == 0
    (row,) = rows_of(tmp_path / "run")
    assert row["label"] == "my defense"
    assert row["test_error"] < 0.5


def test_the_example_of_an_evaluator_judges(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "my_attack.py"
    plugin.write_text(example_of("MyAttack"))
    arguments = ["--plugin", str(plugin), "--eval", "my_attack", "--norm", "linf,l2"]
    arguments += ["--epochs", "5", "--points", "60", "--out", str(tmp_path / "run")]
    assert main(["run", "--methods", "plain", *arguments]) == 0
    linf, l2 = rows_of(tmp_path / "run")
    assert linf["robust_error_low"] > l2["robust_error_low"]  # witnesses, and they are replayed
    assert "my attack: an attack for linf alone" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["MyDefense", "MyAttack"])
def test_the_pages_show_the_same_examples(name: str) -> None:
    assert example_of(name) in examples(EXTENDING, "python")


def test_the_table_has_the_columns_of_today_and_is_that_of_the_first_page() -> None:
    lines = text_of(README).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| data set   | arch"))
    for column in (*HEADERS.values(), "PGD", "KW", "CROWN", "LiRPA", "CW", "MIP"):
        assert f" {column} |" in lines[start]
    table = lines[start : start + 7]
    assert all(line.startswith("|") for line in table)
    assert "\n".join(table) in text_of(ROOT / "docs" / "index.md")


def test_the_page_about_python_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for text in examples(ROOT / "docs" / "python.md", "python"):
        exec(text, names)
    assert len(names["frame"]) == 20
    assert len(names["board"].inputs) == 100
    assert names["page"].startswith("<!")
    assert (tmp_path / "run" / "leaderboard.md").exists()
