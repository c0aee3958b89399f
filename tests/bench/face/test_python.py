import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import bench
from bench import Board, InputError
from bench.cli.parser import parsed
from bench.data.datasets import load
from bench.face import python
from bench.face.keywords import text
from bench.face.options import Options
from tests.bench.conftest import POINTS

Run = tuple[Path, Board]


def options_of(monkeypatch: pytest.MonkeyPatch, **keywords: Any) -> dict[str, Any]:
    """What `bench.run` asks for with these keywords."""
    asked: list[Options] = []
    monkeypatch.setattr(python, "finished_run", asked.append)
    bench.run(**keywords)
    return vars(asked[0])


def test_every_long_option_of_run_is_a_keyword_with_the_same_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = vars(parsed(["run"]))
    words.pop("command")
    assert options_of(monkeypatch) == words
    keywords = set(inspect.signature(bench.run).parameters)
    assert keywords == {"evaluators" if name == "eval" else name for name in words}


def test_values_of_python_are_what_one_would_type(monkeypatch: pytest.MonkeyPatch) -> None:
    said = options_of(
        monkeypatch,
        methods=["plain", "mmr"],
        evaluators=("pgd", "kw"),
        eps=[0.1, "2/255"],
        box=(0, 1),
        judge={"linf": 0.1, "l2": 0.3},
        points="all",
        seeds=range(3),
        epochs=5,
        set={"mmr.weight": 0.5, "mmr.gamma_b": None, "kw.box": False},
        grid={"at.steps": [5, 10]},
        only={"dataset": ["mnist", "gts"], "norm": "l2"},
        gpus=[0, 1],
        timeout=None,
        workers=2,
        no_cascade=True,
    )
    line = (
        "run --methods plain,mmr --eval pgd,kw --eps 0.1,2/255 --box 0,1 --judge linf=0.1,l2=0.3 "
        "--points all --seeds 0,1,2 --epochs 5 --set mmr.weight=0.5 --set mmr.gamma_b=none "
        "--set kw.box=false --grid at.steps=5,10 --only dataset=mnist --only dataset=gts "
        "--only norm=l2 --gpus 0,1 --timeout none --workers 2 --no-cascade"
    )
    words = vars(parsed(line.split()))
    words.pop("command")
    assert said == words


def test_a_board_has_a_line_per_network_and_per_input(small_run: Run) -> None:
    _, board = small_run
    rows = board.rows
    inputs = board.inputs
    assert rows["method"].tolist() == ["plain", "plain", "mmr", "mmr"]
    assert rows["seed"].tolist() == [0, 1, 0, 1]
    assert rows["weight"].isna().tolist() == [True, True, False, False]
    assert len(inputs) == 4 * POINTS
    for row in rows.to_dict("records"):
        own = inputs[inputs["network"] == row["network"]]
        fooled = (own["verdict"] == "fooled").mean()
        undecided = (own["verdict"] == "undecided").mean()
        assert row["robust_error_low"] == pytest.approx(fooled)
        assert row["robust_error_high"] == pytest.approx(fooled + undecided)
        assert row["radius_low"] == pytest.approx(own["low"].mean())


def test_what_is_read_is_what_the_run_gave(small_run: Run) -> None:
    folder, board = small_run
    again = bench.read(folder)
    pd.testing.assert_frame_equal(again.rows, board.rows)
    pd.testing.assert_frame_equal(again.inputs, board.inputs)
    merged = bench.read(folder, str(folder))
    pd.testing.assert_frame_equal(merged.rows, board.rows)


def test_curves_pool_seeds(small_run: Run) -> None:
    _, board = small_run
    both = board.curve("mmr", at=[0.02, 0.1])
    each = [board.curve("MMR", at=[0.02, 0.1], seed=seed) for seed in (0, 1)]
    for name in ("robust_error_low", "robust_error_high"):
        assert np.allclose(both[name], (each[0][name] + each[1][name]) / 2)
    rows = board.rows[board.rows["method"] == "mmr"]
    assert both["robust_error_low"].iloc[1] == pytest.approx(rows["robust_error_low"].mean())


def test_witnesses_are_misclassified_and_as_far_as_the_board_says(small_run: Run) -> None:
    _, board = small_run
    net = board.network("plain", seed=1).double()
    own = board.inputs[(board.inputs["method"] == "plain") & (board.inputs["seed"] == 1)]
    seen = 0
    for line in own.to_dict("records"):
        witness = board.witness("plain", int(line["index"]), seed=1)
        image = board.image("plain", int(line["index"]), seed=1)
        assert (witness is None) == (line["high"] == np.inf)
        if witness is not None:
            assert int(net(witness.double()[None]).argmax()) != line["y"]
            far = float((witness.double() - image.double()).abs().max())
            assert far == pytest.approx(line["high"], abs=1e-9)
            seen += 1
    assert seen > POINTS // 2


def test_histories_and_evidence(small_run: Run) -> None:
    _, board = small_run
    assert board.history("plain", seed=0)["epoch"].tolist() == [1, 2, 3]
    evidence = board.evidence("plain", 3, seed=0)
    assert evidence["evaluator"].tolist() == ["pgd", "kw", "bab"]
    line = board.inputs.iloc[3]
    assert evidence["low"].max() == line["low"]
    assert evidence["high"].min() == line["high"] or not line["correct"]
    assert board.provenance("plain", seed=0)["versions"]["torch"]


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda b: b.network("plain"), "2 networks have that name: say which, by seed=0 or 1"),
        (lambda b: b.curve(), "by method=plain or mmr"),
        (lambda b: b.network("plian"), "did you mean 'plain'"),
        (lambda b: b.network("plain", seed=7), "no network with seed=7: there is 0, 1"),
        (lambda b: b.network("plain", colour=7), "got 'colour'"),
        (lambda b: b.witness("plain", 99, seed=0), "was judged on inputs 0 to 24, got 99"),
    ],
)
def test_wrong_names_get_one_line(small_run: Run, ask: Any, words: str) -> None:
    with pytest.raises(InputError) as error:
        ask(small_run[1])
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({}, "methods expects one or more of"),
        ({"methods": "plain", "points": 10**6}, "points 1000000: digits has"),
        ({"methods": "plain", "evaluators": "pgdd"}, "did you mean 'pgd'"),
        ({"methods": "plain", "eps": -1}, "got '-1'"),
        ({"methods": "plain", "set": {"nobody.steps": 1}}, "set nobody.steps=1"),
        ({"methods": "plain", "no_cascade": True, "inputs": "nowhere.npz"}, "inputs: there is no"),
    ],
)
def test_errors_speak_of_keywords(tmp_path: Path, keywords: Any, words: str) -> None:
    with pytest.raises(InputError) as error:
        bench.run(**{"dataset": "digits", "out": tmp_path / "run", **keywords})
    assert words in str(error.value)
    assert "--" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="methods expects text, numbers or a list"):
        text({1, 2}, "methods")


def test_a_forecast_computes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = bench.run("plain", dataset="digits", dry_run=True, out=tmp_path / "run")
    assert "nothing was run" in capsys.readouterr().out
    assert board.rows.empty
    assert board.inputs.empty
    assert not (tmp_path / "run").exists()


def test_judging_at_hand_says_what_a_run_says(small_run: Run) -> None:
    _, board = small_run
    data = load("digits")
    frame = bench.judge(
        board.network("mmr", seed=0),
        data.x_test[:POINTS],
        data.y_test[:POINTS],
        eps=0.1,
        evaluators=["kw", "pgd", "bab"],
        set={"pgd.steps": 10},
    )
    own = board.inputs[(board.inputs["method"] == "mmr") & (board.inputs["seed"] == 0)]
    for name in ("index", "y", "predicted", "correct", "verdict"):
        assert frame[name].tolist() == own[name].tolist(), name
    kw = (frame["low_by"] == "kw").to_numpy()
    assert kw.any()
    assert frame["low"][kw].tolist() == own["low"].to_numpy()[kw].tolist()
    for line in frame.to_dict("records"):
        assert (line["witness"] is None) == (line["high"] == np.inf or not line["correct"])


class Residual(nn.Module):
    """No Sequential: read by its graph."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.last = nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        h = torch.relu(self.first(x.flatten(1)))
        return self.last(torch.relu(h + h))


def test_any_module_is_judged_and_left_as_it_was() -> None:
    torch.manual_seed(0)
    net = Residual().train()
    x = torch.rand(6, 1, 2, 2)
    y = net(x).argmax(1)
    before = torch.get_rng_state()
    frame = bench.judge(net, x, y, norm="l2", eps=[0.01] * 3 + [0.5] * 3, evaluators="crown,bab")
    assert torch.equal(before, torch.get_rng_state())
    assert net.training
    assert all(p.requires_grad for p in net.parameters())
    assert frame["verdict"].isin(["certified", "fooled"]).all()
    assert frame["eps"].tolist() == [0.01] * 3 + [0.5] * 3


BREAKER = """
from dataclasses import dataclass
from typing import ClassVar

import torch

from evaluators.interface import Evidence


@dataclass(frozen=True, kw_only=True)
class Breaker:
    label: ClassVar[str] = "breaker"
    resource: ClassVar[str] = "cpu"
    cost: ClassVar[int] = 1
    claim: float = 0.0

    def refusal(self, net, threat):
        return None

    def judge(self, net, x, y, *, threat, known):
        for parameter in net.parameters():
            parameter.data.zero_()
        x.zero_()
        low = torch.full((len(x),), self.claim, dtype=torch.float64)
        nothing = torch.full_like(x, torch.nan)
        return Evidence(low=low, witness=nothing, outcome=["done"] * len(x))
"""


def test_what_an_evaluator_does_to_a_network_reaches_no_other(tmp_path: Path) -> None:
    plugin = tmp_path / "breaker.py"
    plugin.write_text(BREAKER)
    torch.manual_seed(0)
    net = Residual()
    x = torch.rand(6, 1, 2, 2)
    y = net(x).argmax(1)
    alone = bench.judge(net, x, y, eps=0.05, evaluators=["kw", "crown"])
    after = bench.judge(net, x, y, eps=0.05, evaluators=["breaker", "kw", "crown"], plugin=plugin)
    for name in ("correct", "low", "high", "verdict"):
        assert alone[name].tolist() == after[name].tolist(), name


def test_malformed_evidence_costs_its_evaluator_alone(tmp_path: Path) -> None:
    plugin = tmp_path / "breaker.py"
    plugin.write_text(BREAKER)
    torch.manual_seed(0)
    net = Residual()
    x = torch.rand(6, 1, 2, 2)
    y = net(x).argmax(1)
    alone = bench.judge(net, x, y, eps=0.05, evaluators=["kw"])
    claim = {"breaker.claim": -1.0}
    with pytest.warns(UserWarning, match="breaker judges none of these inputs: .*>= 0"):
        after = bench.judge(net, x, y, eps=0.05, evaluators="breaker,kw", set=claim, plugin=plugin)
    assert alone["low"].tolist() == after["low"].tolist()


def test_who_does_not_judge_is_warned_of() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Sigmoid(), nn.Linear(3, 2))
    x = torch.rand(2, 1, 2, 2)
    with pytest.warns(UserWarning, match="kw judges none of these inputs"):
        frame = bench.judge(net, x, torch.zeros(2).long(), eps=0.1, evaluators=["kw"])
    assert set(frame["verdict"]) <= {"undecided", "fooled"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": torch.full((2, 1, 2, 2), 3.0)}, "pixels in [0, 1]"),
        ({"x": torch.zeros(2, 1, 2, 2).long()}, "float images"),
        (
            {"x": torch.rand(2, 1, 2, 2).double()},
            "type, torch.float32",
        ),
        ({"y": torch.tensor([0, 3])}, "labels from 0 to 2"),
        ({"y": torch.tensor([0])}, "2 whole numbers"),
        ({"eps": [0.1, 0.1, 0.1]}, "one for each of 2 inputs"),
        ({"eps": 0.0}, "eps"),
        ({"norm": "l3"}, "l3"),
        ({"evaluators": "nobody"}, "unknown evaluator"),
        ({"set": {"pgd.steps": "many"}}, "set pgd.steps=many"),
    ],
)
def test_what_cannot_be_judged_gets_one_line(changes: Any, words: str) -> None:
    good = {"x": torch.rand(2, 1, 2, 2), "y": torch.tensor([0, 1]), "eps": 0.1, "evaluators": "pgd"}
    with warnings.catch_warnings(), pytest.raises(InputError) as error:
        bench.judge(Residual(), **{**good, **changes})
    assert words in str(error.value)
    assert "--" not in str(error.value)


def test_names_of_the_face_are_listed() -> None:
    assert {"run", "read", "judge", "Board", "InputError"} <= set(dir(bench))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bench.nothing
