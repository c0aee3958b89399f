"""`figures` on a run: which files there are, why others are not, and what it refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.__main__ import main

pytest.importorskip("matplotlib")

from bench.plugins.training import Training
from leaderboard.figures import toy

pytestmark = pytest.mark.processes

RUN = ("run", "--methods", "plain,mmr", "--epochs", "12", "--points", "12", "--engine", "inline")
JUDGED = ("--eval", "pgd,region", "--no-cascade", "--set", "pgd.steps=5")
Figures = Callable[..., tuple[int, str]]
ALL = {"regions", "ratios", "gradients", "filters", "curves", "fronts", "witness", "training"}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("figures") / "out"
    assert main([*RUN, *JUDGED, "--out", str(out)]) == 0
    return out


@pytest.fixture
def figures(capsys: pytest.CaptureFixture[str]) -> Figures:
    """Runs the command; its status and what it printed on stderr."""

    def call(*arguments: str | Path) -> tuple[int, str]:
        capsys.readouterr()
        status = main(["figures", *map(str, arguments)])
        printed = capsys.readouterr()
        assert printed.out == ""
        return status, printed.err

    return call


def stems(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


def test_a_run_gives_all_figures_that_it_has_data_for(out: Path, figures: Figures) -> None:
    status, err = figures(out)
    assert status == 0
    folder = out / "figures"
    assert stems(folder) == ALL
    assert {path.suffix for path in folder.iterdir()} == {".svg", ".pdf"}
    (left,) = [line for line in err.splitlines() if line.startswith("left out: ")]
    assert left.startswith("left out: solving: no method was run with several weights")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert figures(out, "--only", "regions,gradients")[0] == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_figures_inputs_and_methods_are_chosen(out: Path, figures: Figures, tmp_path: Path) -> None:
    chosen = ("--only", "Figure5,curves", "--input", "3,7", "--method", "MMR")
    status, _ = figures(out, *chosen, "--out", tmp_path / "some")
    assert status == 0
    assert stems(tmp_path / "some") == {"gradients", "curves"}
    whole = (tmp_path / "some" / "gradients.svg").read_bytes()
    assert figures(out, "--only", "gradients", "--out", tmp_path / "some")[0] == 0
    assert (tmp_path / "some" / "gradients.svg").read_bytes() != whole


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "curve"), "did you mean 'curves'"),
        (("--only", "figure9"), "valid are regions, solving"),
        (("--only", ""), "--only expects"),
        (("--method", "mm"), "did you mean 'mmr'"),
        (("--input", "99"), "--input 99: these runs judged inputs 0 to 11"),
        (("--input", "x"), "--input expects a whole number"),
        (("--only", "solving"), "nothing can be drawn: solving: no method"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    out: Path, figures: Figures, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    status, err = figures(out, *arguments, "--out", tmp_path / "none")
    assert status == 2
    assert err.startswith("bench: ")
    assert err.count("\n") == 1
    assert said in err
    assert not (tmp_path / "none").exists()


def test_folders_are_named(out: Path, figures: Figures, tmp_path: Path) -> None:
    assert "need --out DIR" in figures(out, out)[1]
    assert "is no run folder" in figures(tmp_path, "--only", "curves")[1]
    assert "figures expects a run folder" in figures("--only", "curves,toy", "--out", tmp_path)[1]
    assert "need --out DIR" in figures("--only", "toy")[1]


def test_several_cases_have_files_of_their_own(out: Path, figures: Figures, tmp_path: Path) -> None:
    judged = ("--judge", "linf=0.1,l2=0.3", "--methods", "plain", "--eval", "pgd")
    assert main([*RUN, *judged, "--set", "pgd.steps=5", "--out", str(tmp_path / "run")]) == 0
    assert figures(tmp_path / "run", "--only", "curves,filters")[0] == 0
    expected = {"curves_digits_fc_small_linf_0.1", "curves_digits_fc_small_l2_0.3", "filters"}
    assert stems(tmp_path / "run" / "figures") == expected


def test_the_toy_needs_no_run(
    figures: Figures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy, "TRAINING", Training(epochs=2))
    assert figures("--only", "toy", "--out", tmp_path / "toy")[0] == 0
    assert stems(tmp_path / "toy") == {"toy"}


def test_without_matplotlib_it_says_what_is_missing(
    out: Path, figures: Figures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderboard.figures.optional.importlib.util.find_spec", lambda _: None)
    status, err = figures(out, "--out", tmp_path / "none")
    assert status == 2
    assert err == "bench: a figure needs matplotlib: pip install -e '.[figures]'\n"
    assert not (tmp_path / "none").exists()
