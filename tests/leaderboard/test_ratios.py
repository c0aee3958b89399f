"""Witnesses over exact radii: which inputs count, tables, files, the figure."""

import importlib.util
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.jobs.verdict import combine
from leaderboard.figures.optional import ratios_to_svg
from leaderboard.ratios import (
    Ratios,
    ratios,
    ratios_to_csv,
    ratios_to_markdown,
)
from leaderboard.row import Row
from leaderboard.rows import Judged
from tests.leaderboard.test_tables import cells
from tests.leaderboard.test_tables import row as any_row

inf = np.inf
BELOW = 1 - 1e-9  # of a witness: where the closed ball that a proof is about ends
INDEX = [3, 4, 5, 6, 7]
LABELS = {"region": "region", "cw": "CW", "pgd": "PGD"}


def table(low: Sequence[float], high: Sequence[float]) -> pd.DataFrame:
    return pd.DataFrame({"index": INDEX, "low": low, "high": high})


def judged(evidence: Mapping[str, pd.DataFrame], correct: Sequence[bool] = (True,) * 5) -> Judged:
    clean = pd.DataFrame({"index": INDEX, "correct": correct})
    verdict = combine(clean, evidence)
    return Judged(
        test_error=0.0, clean=clean, evidence=evidence, parts={}, verdict=verdict, held={}
    )


def row(**changes: Any) -> Row:
    return any_row(**{"norm": "l2", "eps": 0.3, "evaluator_labels": LABELS} | changes)


# inputs 3, 5 and 6 have an exact radius; of 4 only bounds are known; 7 is misclassified
EVIDENCE = {
    "region": table([BELOW * 0.2, 0.1, BELOW * 0.4, BELOW * 0.5, 0.0], [0.2, inf, 0.4, inf, inf]),
    "cw": table([0.0] * 5, [0.21, 0.3, 0.4, 0.5, inf]),
    "pgd": table([0.0] * 5, [0.3, 0.5, inf, 0.55, inf]),
}
CORRECT = [True, True, True, True, False]


def found(*evaluators: str) -> list[Ratios]:
    return ratios([(row(), judged(EVIDENCE, CORRECT))], evaluators)


def test_witnesses_over_exact_radii_descend() -> None:
    region, cw, pgd = found()
    assert [some.label for some in (region, cw, pgd)] == ["region", "CW", "PGD"]
    assert region.ratio.tolist() == [1.0, 1.0]
    assert cw.ratio.tolist() == pytest.approx([1.05, 1.0, 1.0])
    assert cw.index.tolist() == [3, 5, 6]
    assert pgd.ratio.tolist() == pytest.approx([1.5, 1.1])
    assert pgd.index.tolist() == [3, 6]


def test_evaluators_can_be_chosen_and_those_without_ratios_are_left_out() -> None:
    assert [some.evaluator for some in found("pgd", "cw")] == ["cw", "pgd"]
    assert found("mip") == []
    certificates = {"kw": table([0.1] * 5, [inf] * 5)}
    assert ratios([(row(), judged(certificates))]) == []
    assert ratios([]) == []


def test_the_table_says_how_many_and_how_much_farther() -> None:
    header, _, *lines = cells(ratios_to_markdown(found()))
    region, cw, pgd = (dict(zip(header, line, strict=True)) for line in lines)
    assert pgd == {
        "data set": "digits",
        "arch": "fc_small",
        "threat": "l2 0.3",
        "method": "AT",
        "points": "100",
        "evaluator": "PGD",
        "exact inputs": "2",
        "mean excess (%)": "30.00",
        "≥ 10 % farther (%)": "100.00",
        "≥ 20 % farther (%)": "50.00",
        "largest (%)": "50.00",
    }
    assert (cw["exact inputs"], cw["mean excess (%)"], cw["largest (%)"]) == ("3", "1.67", "5.00")
    assert region["mean excess (%)"] == "0.00"


def test_networks_of_one_name_are_told_apart() -> None:
    both = [(row(group=str(n), settings={"steps": n}), judged(EVIDENCE)) for n in (7, 40)]
    _, _, *lines = cells(ratios_to_markdown(ratios(both, ["cw"])))
    assert [line[3] for line in lines] == ["AT (steps=7)", "AT (steps=40)"]


def test_the_csv_has_every_ratio_in_full() -> None:
    lines = pd.read_csv(StringIO(ratios_to_csv(found())))
    assert lines.columns.tolist() == [
        "dataset",
        "arch",
        "norm",
        "method",
        "label",
        "group",
        "seed",
        "evaluator",
        "index",
        "ratio",
    ]
    assert lines["evaluator"].tolist() == ["region"] * 2 + ["cw"] * 3 + ["pgd"] * 2
    assert lines["index"].tolist() == [3, 5, 3, 5, 6, 3, 6]
    assert lines["ratio"].tolist() == [some for each in found() for some in each.ratio]


def test_the_figure_has_a_curve_for_each_and_is_the_same_each_time() -> None:
    pytest.importorskip("matplotlib")
    drawn = ratios_to_svg(found())
    assert drawn.startswith("<?xml")
    assert ratios_to_svg(found()) == drawn
    fewer = ratios_to_svg(found("cw"))
    assert fewer.count("<path") < drawn.count("<path")


def test_a_name_that_looks_like_a_formula_is_drawn_as_it_is() -> None:
    pytest.importorskip("matplotlib")
    odd = [(row(label="$x_{$"), judged(EVIDENCE, CORRECT))]
    assert "<svg" in ratios_to_svg(ratios(odd))


def test_without_matplotlib_there_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert ratios_to_svg(found()) == ""
