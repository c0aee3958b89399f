"""Every evaluator on a hostile case, and what exact arithmetic has to say against its evidence."""

import math
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pandas as pd
import torch

from bench.jobs.verdict import Replay, combine, replay
from bench.plugins.catalogue import Plugin
from bench.plugins.discovery import discover
from evaluators.interface import Interval
from relu.attacks.witness import adversarial
from relu.network.reader import in_float64
from tests.hostile import rational
from tests.hostile.nets import Case

Fields = Mapping[str, Any]
# Small settings; an evaluator that is not listed runs with its defaults.
VARIANTS: Mapping[str, Sequence[Fields]] = {
    "bab": [{"mode": "decide", "seconds": 0.2}, {"mode": "radius", "seconds": 0.3}],
    "cw": [{"preset": "fast", "steps": 30, "binary_search_steps": 2, "bisection_steps": 5}],
    "crown": [
        {"iterations": 2, "bisection_steps": 3},
        {"box": False, "iterations": 0, "bisection_steps": 3},
    ],
    "ensemble": [
        {"steps": 8, "restarts": 1, "square_steps": 8, "rounds": 1, "growth": 3.0},
    ],
    "ibp": [{}, {"box": False, "bisection_steps": 3}],
    "kw": [{"bisection_steps": 8}, {"box": False, "bisection_steps": 3}],
    "lirpa": [{"bound": "CROWN"}, {"bound": "IBP"}, {"bound": "CROWN-IBP", "box": False}],
    "mip": [{"mode": "decide", "seconds": 0.3}, {"mode": "radius", "seconds": 0.25}],
    "pgd": [{"steps": 8, "restarts": 1, "growth": 3.0, "bisection_steps": 8}],
    "region": [
        {"neighbours": "unlimited", "seconds": 0.2},
        {"neighbours": 0, "box": False},
        {"neighbours": 3},
    ],
    "region_attack": [{"steps": 4, "walks": 2, "rounds": 3, "neighbours": 2, "other_classes": 2}],
}


@dataclass(frozen=True)
class Complaint:
    """What an evaluator did that it must not do. kind: by which failures are counted."""

    kind: str
    evaluator: str
    said: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.evaluator}: {self.said}"


def variants(plugins: Mapping[str, Plugin] | None = None) -> dict[str, Any]:
    """All evaluators with the settings they run with, by a name that says both."""
    plugins = plugins or discover().evaluators
    return {
        f"{name}({', '.join(f'{k}={v}' for k, v in fields.items())})": plugin.build(fields)
        for name, plugin in plugins.items()
        for fields in VARIANTS.get(name, [{}])
    }


def complaints(case: Case, evaluators: Mapping[str, Any]) -> list[Complaint]:
    """Everything that is wrong with what these evaluators say of a case; none, as it should be."""
    net = case.net
    x = case.x
    y = case.y
    threat = case.threat
    exact_net = in_float64(net)
    found = list(_of_clean_inputs(case))
    tables: dict[str, pd.DataFrame] = {}
    for name, evaluator in evaluators.items():
        try:
            if evaluator.refusal(net, threat) is not None:
                continue
            torch.manual_seed(case.seed)
            evidence = evaluator.judge(net, x.clone(), y.clone(), threat=threat, known=known(case))
            checked = replay(exact_net, x, y, evidence, threat=threat)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename.rpartition('/')[2]}:{where.lineno}"
            kind = f"exception {type(error).__name__} at {place}"
            found.append(Complaint(kind, name, str(error).partition("\n")[0]))
            continue
        found += _of_lows(case, name, checked)
        found += _of_witnesses(case, name, checked)
        tables[name] = _table(low=checked.low.numpy(), high=checked.high.numpy())
    clean = _table(correct=[margin > 0 for margin in case.margins])
    for contradiction in combine(clean, tables).contradictions:
        found.append(Complaint("contradiction", contradiction.low_by, str(contradiction)))
    return found


def require_no_complaints(cases: Iterable[Case], evaluators: Mapping[str, Any]) -> None:
    """Fails with the seeds of cases that there is something to say against."""
    torch.set_num_threads(1)
    reports = []
    for case in cases:
        if said := complaints(case, evaluators):
            reports.append("\n".join([f"seed {case.seed}:", *map(str, said), case.script()]))
    assert not reports, "\n\n".join([f"{len(reports)} networks", *reports[:5]])


def _table(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns).rename_axis("index").reset_index()


def known(case: Case) -> Interval:
    """The truth, and nothing of it: which inputs are misclassified."""
    wrong = torch.tensor([margin <= 0 for margin in case.margins])
    high = torch.where(wrong, 0.0, torch.inf).double()
    return Interval(low=torch.zeros_like(high), high=high)


def _of_clean_inputs(case: Case) -> Iterator[Complaint]:
    """The bench calls no input misclassified that is not."""
    wrong = adversarial(in_float64(case.net), case.x, case.y).tolist()
    for i, (said, margin) in enumerate(zip(wrong, case.margins, strict=True)):
        if said and margin > 0:
            yield Complaint("clean", "the bench", f"input {i} is right by {float(margin):.3g}")
        if not said and margin <= 0:
            yield Complaint("clean", "the bench", f"input {i} is wrong by {float(-margin):.3g}")


def _of_lows(case: Case, name: str, checked: Replay) -> Iterator[Complaint]:
    """No adversarial point in the closed ball; inf, or short of the box's farthest point."""
    norm = case.threat.norm
    box = case.threat.box
    for i, low in enumerate(checked.low.tolist()):
        if not low > 0:
            continue
        far = rational.farthest(case.points[i], box, norm)
        if low < math.inf and rational.power(low, norm) >= far:
            said = f"input {i}: low {low!r}, but the box ends at {rational.rounded(far, norm)!r}"
            yield Complaint("low beyond the box", name, said)
        if case.margins[i] <= 0:
            yield Complaint("low of a misclassified input", name, f"input {i}: {low!r}")
        elif case.radii is not None and _reaches(low, case.radii[i], norm):
            said = f"input {i}: low {low!r}, exact {_said(case.radii[i], norm)}"
            yield Complaint("low too large", name, said)


def _reaches(low: float, radius: Fraction | None, norm: str) -> bool:
    """Whether the closed ball holds an adversarial point."""
    return radius is not None and (low == math.inf or rational.power(low, norm) >= radius)


def _said(radius: Fraction | None, norm: str) -> str:
    return "inf" if radius is None else repr(rational.rounded(radius, norm))


def _of_witnesses(case: Case, name: str, checked: Replay) -> Iterator[Complaint]:
    """What counts is adversarial, in the box, and no farther than `high` says."""
    norm = case.threat.norm
    box = case.threat.box
    for i, high in enumerate(checked.high.tolist()):
        if high == math.inf:
            continue
        z = rational.floats(checked.witness[i])
        x = case.points[i]
        margin = rational.margin(case.layers, z, int(case.y[i]))
        if margin > 0:
            yield Complaint("witness not adversarial", name, f"input {i}: {float(margin):.3g}")
        if not rational.in_box(z, box):
            yield Complaint("witness outside the box", name, f"input {i}: {z}")
        if not rational.within(x, z, high, norm):
            exact = rational.rounded(rational.distance(x, z, norm), norm)
            yield Complaint("high too small", name, f"input {i}: {high!r}, exact {exact!r}")
        if margin <= 0 and case.radii is not None:
            radius = case.radii[i]
            assert radius is not None, "the exact oracle is wrong"
            assert rational.distance(x, z, norm) >= radius, "the exact oracle is wrong"
