"""The command `ratios`: from a run without a cascade to its table, file and figure."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bench.__main__ import main
from tests.leaderboard.test_tables import cells

pytestmark = pytest.mark.processes

RUN = (
    "run",
    "--methods",
    "mmr",
    "--norm",
    "l2",
    "--engine",
    "inline",
    "--epochs",
    "3",
    "--points",
    "40",
)
Ratios = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with exact radii and two attacks, each of which has seen all inputs."""
    out = tmp_path_factory.mktemp("ratios") / "out"
    judged = (
        "--no-cascade",
        "--eval",
        "region,cw,region_attack",
        "--set",
        "cw.preset=fast",
        "--set",
        "cw.steps=100",
    )
    assert main([*RUN, *judged, "--out", str(out)]) == 0
    return out


@pytest.fixture
def ratios(capsys: pytest.CaptureFixture[str]) -> Ratios:
    """Runs the command; its status and what it printed on stdout and stderr."""

    def call(folder: Path, *arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["ratios", str(folder), *arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def test_a_run_gives_a_table_a_file_and_a_figure(out: Path, ratios: Ratios) -> None:
    pytest.importorskip("matplotlib")
    status, printed, err = ratios(out)
    assert status == 0
    header, _, *lines = cells(printed)
    shown = {line[header.index("evaluator")]: line for line in lines}
    assert set(shown) == {"region", "CW", "region attack"}
    excess = {name: float(line[header.index("mean excess (%)")]) for name, line in shown.items()}
    assert 0 <= excess["region attack"] <= excess["CW"]
    assert excess["region"] == 0
    table = pd.read_csv(out / "ratios.csv")
    assert table.groupby("evaluator").size().to_dict() == {
        name: int(line[header.index("exact inputs")])
        for name, line in zip(("region", "cw", "region_attack"), lines, strict=True)
    }
    assert (table["ratio"] > 1 - 1e-5).all()
    for _, one in table.groupby("evaluator"):
        assert one["ratio"].is_monotonic_decreasing
    assert (out / "ratios.svg").read_text().startswith("<?xml")
    assert "ratios.csv, .svg" in err
    kept = {name: (out / name).read_bytes() for name in ("ratios.csv", "ratios.svg")}
    assert ratios(out)[1] == printed
    assert {name: (out / name).read_bytes() for name in kept} == kept


@pytest.mark.parametrize("typed", ["cw", "C&W"])
def test_evaluators_are_chosen_by_any_of_their_names(out: Path, ratios: Ratios, typed: str) -> None:
    status, printed, _ = ratios(out, "--eval", typed)
    assert status == 0
    (line,) = cells(printed)[2:]
    assert "CW" in line
    assert set(pd.read_csv(out / "ratios.csv")["evaluator"]) == {"cw"}


def test_without_matplotlib_the_table_and_the_file_are_there_all_the_same(
    out: Path, ratios: Ratios, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderboard.figures.optional.importlib.util.find_spec", lambda _: None)
    status, printed, err = ratios(out)
    assert status == 0
    assert len(cells(printed)) == 5
    assert "a figure needs matplotlib" in err
    assert not (out / "ratios.svg").exists()


def complaint(result: tuple[int, str, str]) -> str:
    status, printed, err = result
    assert (status, printed) == (2, "")
    assert err.startswith("bench: ")
    assert err.count("\n") == 1
    return err


def test_what_has_no_ratios_is_one_line(out: Path, ratios: Ratios, tmp_path: Path) -> None:
    assert "pgd has a witness" in complaint(ratios(out, "--eval", "pgd"))
    assert "did you mean 'cw'" in complaint(ratios(out, "--eval", "cww"))
    assert "is no run folder" in complaint(ratios(tmp_path))
    assert "is no run folder" in complaint(ratios(tmp_path / "nowhere"))
    attacked = ("--eval", "pgd", "--set", "pgd.steps=3", "--set", "pgd.restarts=1")
    assert main([*RUN, "--epochs", "1", *attacked, "--out", str(tmp_path / "attacked")]) == 0
    said = complaint(ratios(tmp_path / "attacked"))
    assert "no input with an exact radius of which any evaluator has a witness" in said
    assert not (tmp_path / "attacked" / "ratios.csv").exists()
