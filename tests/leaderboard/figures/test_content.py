"""What is in the figures: the rows' numbers, and nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from bench.jobs.verdict import combine
from leaderboard.board.curves import curve_frame
from leaderboard.contribution import contributions
from leaderboard.row import Row
from leaderboard.rows import Judged, summary
from relu.errors import InputError
from tests.leaderboard.test_tables import row as any_row

pytest.importorskip("matplotlib")

from matplotlib.collections import LineCollection

from bench.search.tune import Trial
from leaderboard.figures.catalogue import KINDS
from leaderboard.figures.curves import curves_figure
from leaderboard.figures.filters import filters_of, mosaic
from leaderboard.figures.fronts import fronts_figure, fronts_of_trials
from leaderboard.figures.gradients import loss_gradients
from leaderboard.figures.optional import FIGURES, TOY, fronts_to_svg
from leaderboard.figures.ratios import ratios_of_case
from leaderboard.figures.runs import Case, Runs, by_network, by_threat
from leaderboard.figures.solving import solved_of, solving_figure
from leaderboard.figures.style import look, tints, to_files
from leaderboard.figures.toy import toy_data

inf = np.inf
LABELS = {"mip": "MIP", "pgd": "PGD"}
BELOW = 1 - 1e-9
CORRECT = [True, True, True, False]


class FakeRuns(Runs):
    """Rows and what is behind them, without a folder."""

    def __init__(self, pairs: Sequence[tuple[Row, Judged]]) -> None:
        self.rows = [row for row, _ in pairs]
        self.behind = {row.network: judged for row, judged in pairs}

    def judged(self, row: Row) -> Judged:
        return self.behind[row.network]


def judged(bounds: Mapping[str, tuple[list[float], list[float]]]) -> Judged:
    clean = pd.DataFrame({"index": range(4), "label": 0, "predicted": 0, "correct": CORRECT})
    evidence = {
        name: pd.DataFrame({"index": range(4), "low": low, "high": high, "seconds": 0.5}).assign(
            outcome="done", status=["done"] * 3 + ["skipped"]
        )
        for name, (low, high) in bounds.items()
    }
    verdict = combine(clean, evidence)
    return Judged(
        test_error=0.25, clean=clean, evidence=evidence, parts={}, verdict=verdict, held={}
    )


def network(name: str, bounds: Mapping[str, Any], **changes: Any) -> tuple[Row, Judged]:
    behind = judged(bounds)
    numbers = summary(behind.verdict, 0.1)
    made = any_row(
        network=name,
        group=name,
        eps=0.1,
        points=4,
        evaluator_labels=LABELS,
        cascade=False,
        **{"seconds": {"mip": 6.0, "pgd": 1.0}} | numbers | changes,
    )
    parts = contributions(behind.verdict, behind.evidence, behind.correct, np.asarray(0.1))
    return any_row(**vars(made) | {"contributions": parts}), behind


PLAIN = {
    "mip": ([0.02, 0.0, 0.0, 0.0], [0.05, inf, inf, inf]),
    "pgd": ([0.0] * 4, [0.08, 0.2, inf, inf]),
}
ROBUST = {
    "mip": ([0.15, 0.2 * BELOW, 0.0, 0.0], [inf, 0.2, 0.05, inf]),
    "pgd": ([0.0] * 4, [0.3, 0.25, 0.06, inf]),
}


def weighted(weight: float, bounds: Mapping[str, Any]) -> tuple[Row, Judged]:
    return network(
        f"w{weight}",
        bounds,
        method="mmr",
        label="MMR",
        settings={"weight": weight, "train.lr": 0.1},
        seconds={"mip": 6.0 / (1 + weight), "pgd": 1.0},
    )


@pytest.fixture
def case() -> Case:
    (one,) = by_threat(FakeRuns([weighted(2.0, ROBUST), weighted(0.0, PLAIN)]), ())
    return one


def test_curves_are_those_of_the_intervals(case: Case) -> None:
    axes = curves_figure(case).axes[0]
    lines = [line for line in axes.lines if len(np.asarray(line.get_xdata())) > 7]
    for i, row in enumerate(case.rows):
        table = case.runs.judged(row).verdict.table
        at = np.array([0.011, 0.03, 0.07, 0.12, 0.19])
        frame = curve_frame([(table["low"].to_numpy(), table["high"].to_numpy())], list(at))
        for line, name in zip(lines[2 * i :], ("low", "high"), strict=False):
            drawn = np.interp(at, np.asarray(line.get_xdata()), np.asarray(line.get_ydata()))
            assert drawn.tolist() == pytest.approx((100 * frame[f"robust_error_{name}"]).tolist())
    assert "eps = 0.1" in [text.get_text() for text in axes.figure.legends[0].get_texts()]


def test_fronts_have_both_bounds_and_the_stairs_between_the_best(case: Case) -> None:
    runs = FakeRuns(
        [
            network("a", PLAIN, label="A", test_error=0.1),
            network("b", ROBUST, label="B", test_error=0.2),
            network("c", ROBUST, label="C", test_error=0.3),
        ]
    )
    (one,) = by_threat(runs, ())
    axes = fronts_figure(one).axes[0]
    markers = [line for line in axes.lines if line.get_linestyle() == "None"]
    for line, row in zip(markers, runs.rows, strict=True):
        assert row.test_error is not None
        assert row.robust_error_high is not None
        (place,) = np.transpose([np.asarray(line.get_xdata()), np.asarray(line.get_ydata())])
        assert place.tolist() == pytest.approx([100 * row.test_error, 100 * row.robust_error_high])
    bars = [c for c in axes.collections if isinstance(c, LineCollection)]
    for bar, row in zip(bars, runs.rows, strict=True):
        (segment,) = bar.get_segments()
        ends = [row.robust_error_low, row.robust_error_high]
        assert segment[:, 1].tolist() == pytest.approx([100 * float(end or 0) for end in ends])
    (stairs,) = [line for line in axes.lines if line.get_label() == "front of all"]
    assert np.asarray(stairs.get_xdata()).tolist() == pytest.approx([10, 20])


def test_fronts_of_a_search_are_drawn_by_method() -> None:
    row, _ = network("a", ROBUST, label="A")
    trials = [Trial[Row](values={"x": x}, rows=(row,)) for x in (1, 2)]
    axes = fronts_of_trials({"a": trials, "none": []}).axes[0]
    assert [text.get_text() for text in axes.figure.legends[0].get_texts()] == ["A"]
    assert "<svg" in fronts_to_svg({"a": trials})
    assert "<svg" in fronts_to_svg({"a": []})


def test_solving_shows_seconds_and_own_bounds_over_the_weight(case: Case) -> None:
    ((said, (solver,)),) = solved_of(case).items()
    assert said == "MMR: weight"
    assert solver.label == "MIP"
    assert solver.weight.tolist() == [0.0, 2.0]
    assert solver.seconds.tolist() == pytest.approx([2.0, 2 / 3])
    assert solver.low.tolist() == [0.5, 0.5]  # one misclassified, one with a witness
    assert solver.high.tolist() == [1.0, 0.5]
    left, right = solving_figure(case).axes
    assert np.asarray(left.lines[0].get_ydata()).tolist() == pytest.approx([2.0, 2 / 3])
    low, high = (np.asarray(line.get_ydata()).tolist() for line in right.lines)
    assert (low, high) == ([50.0, 50.0], [100.0, 50.0])
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["0", "2"]


def test_solving_needs_several_weights_and_no_cascade(case: Case) -> None:
    (one,) = by_threat(FakeRuns([weighted(2.0, ROBUST)]), ())
    with pytest.raises(InputError, match="several weights"):
        solving_figure(one)
    pairs = [weighted(weight, ROBUST) for weight in (0.0, 2.0)]
    told = [(any_row(**vars(row) | {"cascade": True}), behind) for row, behind in pairs]
    (one,) = by_threat(FakeRuns(told), ())
    with pytest.raises(InputError, match="without a cascade"):
        solving_figure(one)


def test_ratios_are_those_of_witnesses_beyond_exact_radii(case: Case) -> None:
    axes = ratios_of_case(case).axes[0]
    (line,) = [line for line in axes.lines if "PGD" in str(line.get_label())]
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx([1.25])


def test_rows_without_exact_radii_have_no_ratios() -> None:
    (one,) = by_threat(FakeRuns([network("a", {"pgd": PLAIN["pgd"]})]), ())
    with pytest.raises(InputError, match="no attack has a witness"):
        ratios_of_case(one)


def test_cases_are_told_apart_and_networks_judged_twice_are_one() -> None:
    once = network("a", PLAIN)
    again = any_row(**vars(once[0]) | {"norm": "l2"}), once[1]
    other = any_row(**vars(once[0]) | {"network": "b", "dataset": "mnist"}), once[1]
    runs = FakeRuns([once, again, other])
    assert [c.name for c in by_threat(runs, ())] == [
        "digits fc_small linf 0.1",
        "digits fc_small l2 0.1",
        "mnist fc_small linf 0.1",
    ]
    assert [c.name for c in by_network(runs, ())] == ["digits fc_small", "mnist fc_small"]


def test_networks_of_one_name_but_other_threats_are_told_apart() -> None:
    once = network("a", PLAIN)
    other = any_row(**vars(once[0]) | {"network": "b", "group": "b", "norm": "l2"}), once[1]
    (one,) = by_network(FakeRuns([once, other]), ())
    assert one.labels == ["AT, linf 0.1", "AT, l2 0.1"]


def test_gradients_are_slopes_of_the_loss_with_length_one() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    x = torch.rand(2, 2, 2, 2, dtype=torch.float64)
    y = torch.tensor([0, 2])
    gradient = loss_gradients(net, x, y)
    assert torch.allclose(gradient.flatten(1).norm(dim=1), torch.ones(2, dtype=torch.float64))
    step = 1e-6 * torch.eye(8, dtype=torch.float64).view(8, 2, 2, 2)
    for image, label, found in zip(x, y, gradient, strict=True):
        loss = nn.functional.cross_entropy(net(image + step), label.expand(8), reduction="none")
        back = nn.functional.cross_entropy(net(image - step), label.expand(8), reduction="none")
        slope = (loss - back) / 2e-6
        assert torch.allclose(found.flatten(), slope / slope.norm(), atol=1e-6)


def test_a_gradient_that_is_zero_stays_zero() -> None:
    dense = nn.Linear(4, 2)
    nn.init.zeros_(dense.weight)
    net = nn.Sequential(nn.Flatten(), dense).double()
    x = torch.rand(1, 1, 2, 2, dtype=torch.float64)
    assert not loss_gradients(net, x, torch.tensor([1])).any()


def test_filters_are_weights_of_the_first_layers() -> None:
    first, second = nn.Conv2d(1, 20, 3), nn.Conv2d(20, 5, 3)
    one, two = filters_of(nn.Sequential(first, nn.ReLU(), second, nn.Conv2d(5, 5, 1)), (1, 9, 9))
    assert torch.equal(one, first.weight[:16])
    assert torch.equal(two, second.weight)
    dense = nn.Linear(9, 30)
    (rows,) = filters_of(nn.Sequential(nn.Flatten(), dense), (1, 3, 3))
    assert rows.shape == (16, 1, 3, 3)
    lengths = rows.flatten(1).norm(dim=1)
    assert (lengths.diff() <= 0).all()
    assert torch.isclose(lengths[0], dense.weight.norm(dim=1).max())
    with pytest.raises(InputError, match="neither convolutions nor"):
        filters_of(nn.Sequential(nn.Flatten(), nn.ReLU()), (1, 3, 3))


def test_channels_lie_side_by_side() -> None:
    kernel = torch.arange(3.0)[:, None, None].expand(3, 2, 2)
    whole = mosaic(kernel)
    assert whole.shape == (4, 4)
    assert whole[0].tolist() == [0, 0, 1, 1]
    assert whole[2, :2].tolist() == [2, 2]
    assert np.isnan(whole[2:, 2:]).all()


def test_looks_differ_in_more_than_colour() -> None:
    looks = [look(i) for i in range(8)]
    assert len({(str(own.dash), own.marker) for own in looks}) == 8
    assert len({own.hatch for own in looks}) == 8
    grey = tints().colors @ np.array([0.299, 0.587, 0.114])
    assert grey[::2] == pytest.approx(0.76, abs=1e-3)
    assert grey[1::2] == pytest.approx(0.93, abs=1e-3)


def test_files_are_the_same_each_time(case: Case) -> None:
    first, second = (to_files("curves", curves_figure(case)) for _ in range(2))
    assert first == second
    assert first["curves.svg"].startswith(b"<?xml")
    assert first["curves.pdf"].startswith(b"%PDF")


def test_the_catalogue_has_every_figure() -> None:
    assert {*KINDS, TOY} == set(FIGURES)


def test_the_toy_has_two_classes_apart() -> None:
    data = toy_data()
    assert data.x_train.shape == (128, 1, 1, 2)
    assert 0.3 < data.y_train.double().mean() < 0.7
    assert torch.equal(data.x_train, toy_data().x_train)
    above, below = (data.x_train[data.y_train == k].flatten(1) for k in (1, 0))
    assert torch.cdist(above, below).min() > 0.08
