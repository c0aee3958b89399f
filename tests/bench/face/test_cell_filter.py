"""--only: what is kept of a cross product, and what is wrong with a choice."""

from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from bench.data.datasets import DataSet, load
from bench.face.cell_filter import keep, keep_rows
from bench.pipeline import requests
from bench.plan.request import Request
from bench.plugins.catalogue import Catalogue
from leaderboard.row import Row
from relu.errors import InputError

FULL = Request(
    datasets=("mnist", "gts"),
    methods=("plain", "at", "mmr"),
    evaluators=("pgd",),
    archs=("fc1", "cnn"),
    norms=("linf", "l2"),
)
PHOTOS = Request(
    datasets=("cifar10",), methods=("plain",), evaluators=("pgd",), archs=("cnn",), norms=("l2",)
)


def test_names_of_a_key_add_up_and_keys_must_all_agree(catalogue: Catalogue) -> None:
    texts = ["dataset=gtsrb, arch=FC-1", "method=PGD-AT,method=mmr", "norm=2"]
    (kept,) = keep([FULL, PHOTOS], texts, catalogue)
    assert (kept.datasets, kept.archs, kept.norms) == (("gts",), ("fc1",), ("l2",))
    assert kept.methods == ("at", "mmr")  # in the order of the run, not of the choice


def test_without_a_choice_all_is_kept(catalogue: Catalogue) -> None:
    assert keep([FULL, PHOTOS], [], catalogue) == [FULL, PHOTOS]
    assert keep([FULL, PHOTOS], ["norm=l2", "norm=linf"], catalogue) == [FULL, PHOTOS]


def test_an_architecture_may_be_the_data_sets_own(catalogue: Catalogue) -> None:
    own = Request(datasets=("mnist", "cifar10"), methods=("plain",), evaluators=("pgd",))
    (kept,) = keep([own], ["arch=cnn"], catalogue)
    assert kept.datasets == ("cifar10",)
    assert kept.archs == ()


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        (["mnist"], "--only expects key=name,key=name, got 'mnist': keys are dataset, arch"),
        (["dataset="], "--only expects key=name"),
        (["dataset=mnist,"], "--only expects key=name"),
        ([""], "--only expects key=name"),
        (
            ["datset=mnist"],
            "unknown key of --only 'datset': valid are dataset, arch, norm, method; "
            "did you mean 'dataset'",
        ),
        (["dataset=minst"], "did you mean 'mnist'"),
        (["norm=l3"], "unknown norm 'l3'"),
        (["method=plian"], "did you mean 'plain'"),
        (["arch=fc10"], "--only arch=fc10: this run has none, it has fc1, cnn"),
        (
            ["dataset=cifar", "arch=fc1"],
            "--only dataset=cifar,arch=fc1 leaves nothing of mnist fc1 linf, mnist fc1 l2, ",
        ),
    ],
)
def test_a_wrong_choice_is_told_with_what_there_is(
    catalogue: Catalogue, texts: list[str], complaint: str
) -> None:
    with pytest.raises(InputError) as caught:
        keep([FULL, PHOTOS], texts, catalogue)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_eval_has_no_method_to_choose(catalogue: Catalogue) -> None:
    guest = Request(datasets=("mnist",), methods=(), evaluators=("pgd",), archs=("fc1",))
    assert keep([guest], ["arch=fc1"], catalogue) == [guest]
    with pytest.raises(InputError, match="it has no method to choose from"):
        keep([guest], ["method=plain"], catalogue)


def test_no_data_is_loaded_of_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = []

    def note(name: str, *places: Any) -> DataSet:
        loaded.append(name)
        return load(name, *places)

    monkeypatch.setattr(requests, "load", note)
    command = [
        "run",
        "--methods",
        "plain,at",
        "--dataset",
        "mnist,digits,gts",
        "--norm",
        "linf,l2",
        "--eval",
        "pgd",
        "--dry-run",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*command, "--only", "dataset=digits,norm=l2", "--only", "method=plain"]) == 0
    assert loaded == ["digits"]
    assert "1 cells" in capsys.readouterr().out
    assert main([*command, "--only", "dataset=cifar10"]) == 2
    printed = capsys.readouterr()
    assert printed.err == (
        "bench: --only dataset=cifar10: this run has none, it has mnist, digits, gts\n"
    )
    assert loaded == ["digits"]


def row(dataset: str, method: str, label: str) -> Row:
    return Row(
        box="0.0,1.0",
        dataset=dataset,
        arch="fc1",
        norm="linf",
        eps=0.1,
        method=method,
        label=label,
        settings={},
        group="",
        seed=0,
        points=1,
        network=method,
        evaluator_labels={},
    )


ROWS = [row("mnist", "my_mmr", "MMR of mine"), row("gts", "my_mmr", "MMR of mine")]
ROWS += [row("gts", "plain", "plain")]


def test_rows_are_kept_by_names_and_labels_of_theirs() -> None:
    assert keep_rows(ROWS, []) == ROWS
    assert keep_rows([], []) == []
    assert keep_rows(ROWS, ["method=mmr of mine"]) == ROWS[:2]
    assert keep_rows(ROWS, ["dataset=gts,norm=linf", "method=my_mmr"]) == [ROWS[1]]
    assert keep_rows(ROWS, ["method=plain,method=my_mmr"]) == ROWS


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("dataset=mnist,method=plain", "leaves nothing of mnist fc1 linf my_mmr, gts"),
        ("dataset=minst", "unknown data set of this run 'minst': valid are mnist, gts"),
        ("norm=l2", "unknown norm of this run 'l2': valid are linf"),
    ],
)
def test_rows_that_are_not_there_are_told(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        keep_rows(ROWS, [text])
