"""Verdicts of other tools: which inputs they are about, and how little is believed of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.data.questions import question
from bench.jobs.verdict import Replay, replay
from bench.plugins.catalogue import Catalogue
from evaluators.interface import Interval
from evaluators.reported import Reported
from relu.errors import InputError
from relu.network.onnx.writer import write_onnx
from relu.network.property.vnnlib.assignments import read_inputs
from relu.network.reader import in_float64
from relu.threat import Threat

THREAT = Threat(norm="linf", eps=0.1)


@dataclass(frozen=True, eq=False)
class Asked:
    """Four inputs of a network, a question about each, and what is said of them."""

    net: nn.Sequential
    x: Tensor
    y: Tensor
    folder: Path

    def say(self, verdicts: Sequence[str], **names: str) -> Path:
        """A results file of these verdicts."""
        rows = [
            f"small,{names.get('network', 'net.onnx')},{i}.vnnlib,0,{verdict},1.5\n"
            for i, verdict in enumerate(verdicts)
        ]
        file = self.folder / "results.csv"
        file.write_text("".join(rows))
        return file

    def judged(self, verdicts: Sequence[str], known: Interval | None = None) -> Replay:
        evaluator = Reported(results=str(self.say(verdicts)))
        zeros = torch.zeros(len(self.x), dtype=torch.float64)
        known = known or Interval(low=zeros, high=zeros + torch.inf)
        evidence = evaluator.judge(self.net, self.x, self.y, threat=THREAT, known=known)
        return replay(in_float64(self.net), self.x, self.y, evidence, threat=THREAT)


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    """Which pair of pixels has the larger sum: close for the first two inputs alone."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 2))
    weights = {"1.weight": torch.eye(2).repeat_interleave(2, 1), "3.weight": torch.eye(2)}
    net.load_state_dict(weights | {"1.bias": torch.zeros(2), "3.bias": torch.zeros(2)})
    rows = [[0.6, 0.6, 0.55, 0.55], [0.4, 0.5, 0.5, 0.5], [0.9, 0.9, 0.1, 0.1], [0, 0, 0.8, 0.8]]
    x = torch.tensor(rows).view(4, 1, 2, 2)
    y = net(x).argmax(1)
    (tmp_path / "net.onnx").write_bytes(write_onnx(net, x))
    for i in range(4):
        (tmp_path / f"{i}.vnnlib").write_text(question(x[i], int(y[i]), 2, THREAT, "asked"))
    return Asked(net, x, y, tmp_path)


def test_certificates_of_others_are_their_word_and_prove_nothing(asked: Asked) -> None:
    checked = asked.judged(["unsat", "holds", "timeout", "unsat"])
    assert (checked.low == 0).all()
    assert checked.outcome[0] == checked.outcome[1] == "undecided: unsat, their word"
    assert checked.outcome[2] == "undecided: they say timeout"
    assert set(checked.status) == {"undecided"}


def test_what_is_known_here_confirms_or_refutes_them(asked: Asked) -> None:
    low = torch.tensor([0.1, 0.0, 0.0, 0.0], dtype=torch.float64)
    high = torch.tensor([torch.inf, 0.1, 0.2, torch.inf], dtype=torch.float64)
    checked = asked.judged(["unsat"] * 4, Interval(low=low, high=high))
    assert checked.outcome == [
        "done: unsat, certified here, too",
        "refused: unsat, but a witness is known",
        "undecided: unsat, their word",
        "undecided: unsat, their word",
    ]
    assert checked.status == ["done", "refused", "undecided", "undecided"]
    assert (checked.low == 0).all()


@pytest.mark.parametrize("write", ["({})\n", "sat\n({})\n", "(({}))"])
@pytest.mark.parametrize("place", ["net_{}.counterexample", "small/net_{}.counterexample"])
def test_their_witnesses_are_replayed(asked: Asked, write: str, place: str) -> None:
    points = {0: [0.5, 0.5, 0.65, 0.65], 1: [0.4, 0.5, 0.5, 0.5], 3: [0.0, 0.0, 0.0]}
    (asked.folder / "small").mkdir()
    for i, point in points.items():
        pairs = "\n".join(f"(X_{j} {v:.9f})" for j, v in enumerate(point))
        (asked.folder / place.format(i)).write_text(write.format(pairs + "\n(Y_0 1.0)"))
    checked = asked.judged(["sat", "sat", "sat", "violated"])
    assert checked.status == ["done", "refused", "undecided", "undecided"]
    assert checked.outcome[2] == "undecided: sat, their word: no counterexample"
    assert 0.09 < float(checked.high[0]) <= 0.1
    (asked.folder / place.format(0)).write_text("((X_0 nan)(X_1 0)(X_2 0)(X_3 inf))")
    assert "no counterexample" in asked.judged(["sat"] * 4).outcome[0]
    assert checked.high[1:].isinf().all()


def test_verdicts_about_other_networks_labels_balls_and_boxes_do_not_count(asked: Asked) -> None:
    wide = Threat(norm="linf", eps=0.1, box=(-1, 2))
    about = [
        question(asked.x[0], 1 - int(asked.y[0]), 2, THREAT, "another label"),
        question(asked.x[1], int(asked.y[1]), 2, Threat(norm="linf", eps=0.05), "another ball"),
        question(asked.x[2], int(asked.y[2]), 3, THREAT, "more classes"),
        question(asked.x[3], int(asked.y[3]), 2, wide, "another box"),
    ]
    for i, text in enumerate(about):
        (asked.folder / f"{i}.vnnlib").write_text(text)
    assert asked.judged(["unsat"] * 4).outcome == ["skipped: not asked"] * 4


def test_verdicts_about_some_rivals_or_another_network_do_not_count(asked: Asked) -> None:
    text = (asked.folder / "0.vnnlib").read_text()
    half = text.replace("Y_0))", "Y_0) (>= X_0 0.55))")
    (asked.folder / "0.vnnlib").write_text(half)
    assert asked.judged(["unsat"] * 4).outcome[0] == "skipped: not asked"
    (asked.folder / "0.vnnlib").write_text(text)
    assert asked.judged(["unsat"] * 4).outcome[0] != "skipped: not asked"
    state = asked.net.state_dict()
    asked.net.load_state_dict(state | {"1.weight": 1.1 * state["1.weight"]})
    assert asked.judged(["unsat"] * 4).outcome == ["skipped: not asked"] * 4


def test_files_that_change_under_a_run_are_noticed(asked: Asked) -> None:
    before = Reported(results=str(asked.say(["unsat", "unsat"])))
    again = Reported(results=before.results, digest=before.digest)
    assert again == before
    asked.say(["unsat", "sat"])
    with pytest.raises(InputError, match="changed"):
        Reported(results=before.results, digest=before.digest)
    asked.say(["unsat", "unsat"])
    (asked.folder / "1.vnnlib").write_text("; other\n")
    with pytest.raises(InputError, match="changed"):
        Reported(results=before.results, digest=before.digest)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "has no results"),
        ("a,b,c\n", "expects rows of category, network"),
        ("small,net.onnx,9.vnnlib,0,unsat,1\n", r"9\.vnnlib .* not there"),
    ],
)
def test_files_that_are_none_get_one_line(asked: Asked, text: str, error: str) -> None:
    file = asked.folder / "results.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=error):
        Reported(results=str(file))


def test_without_results_and_for_balls_that_are_no_boxes_it_refuses(asked: Asked) -> None:
    assert "reported.results" in str(Reported().refusal(asked.net, THREAT))
    evaluator = Reported(results=str(asked.say(["unsat"])))
    assert evaluator.refusal(asked.net, THREAT) is None
    assert "boxes" in str(evaluator.refusal(asked.net, Threat(norm="l2", eps=0.1)))


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        ("sat\n((X_0 1.5)\n(X_1 -2e-1)\n(Y_0 3))", [1.5, -0.2]),
        ("((X_1 1)(X_0 0))", [0.0, 1.0]),
        ("((X_1 1))", None),
        ("((X_0 one))", None),
        ("X Real [1,2]\n0.5\n0.25\nY Real [1,1]\n7.0\n", [0.5, 0.25]),
        ("unsat", None),
        ("", None),
    ],
)
def test_inputs_of_assignments(text: str, inputs: list[float] | None) -> None:
    assert read_inputs(text) == inputs


def test_all_does_not_ask_it(catalogue: Catalogue) -> None:
    asked = [plugin.name for plugin in catalogue.everybody]
    assert "reported" not in asked
    assert "bab" in asked
