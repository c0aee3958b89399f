import dataclasses
from typing import Any

import pytest

from bench.data.datasets import DataSet
from bench.data.holdout import hold_out
from bench.jobs.cell import Cell
from bench.jobs.job import Job
from bench.plan.cells import all_jobs, make_plan
from bench.plan.request import Request
from bench.plugins.catalogue import Catalogue
from bench.plugins.discovery import discover
from relu.errors import InputError
from tests.bench.example_plugins import evaluator

BASE = Request(datasets=("digits",), methods=("plain", "at"), evaluators=("pgd",), points=100)


@pytest.fixture
def plan(catalogue: Catalogue, digits: DataSet) -> Any:
    def make(**changes: Any) -> dict[str, Cell]:
        cells = make_plan(dataclasses.replace(BASE, **changes), catalogue, {"digits": digits})
        return {f"{c.method}{c.seed}": c for c in cells}

    return make


def keys(cell: Cell) -> tuple[str, tuple[str, ...]]:
    return cell.network.key, tuple(job.key for job in cell.judges["pgd"])


def test_the_same_request_has_the_same_keys(plan: Any) -> None:
    assert {n: keys(c) for n, c in plan().items()} == {n: keys(c) for n, c in plan().items()}


def test_everything_is_crossed_and_shared_jobs_appear_once(
    plan: Any, catalogue: Catalogue, digits: DataSet
) -> None:
    request = dataclasses.replace(
        BASE, norms=("linf", "l2"), seeds=(0, 1), archs=("fc_small", "cnn_small")
    )
    cells = make_plan(request, catalogue, {"digits": digits})
    assert len(cells) == 2 * 2 * 2 * 2
    jobs = all_jobs(cells)
    kinds = [job.kind for job in jobs]
    # plain is trained once for both norms: 2 archs x 2 seeds; at once per norm.
    assert kinds.count("train") == 4 + 8
    assert kinds.count("judge") == 16
    seen: set[str] = set()
    for job in jobs:
        assert {*job.after, *job.informed_by} <= seen
        seen.add(job.key)


@pytest.mark.parametrize(
    ("changes", "plain_anew", "at_anew"),
    [
        ({"eps": (0.2,)}, False, True),
        ({"norms": ("l2",)}, False, True),
        ({"epochs": 7}, True, True),
        ({"seeds": (1,)}, None, None),
        ({"archs": ("fc1",)}, True, True),
        ({"overrides": ({("method", "at"): {"steps": 3}},)}, False, True),
        ({"overrides": ({("train", ""): {"lr": 0.1}},)}, True, True),
        ({"overrides": ({("evaluator", "pgd"): {"steps": 3}},)}, False, False),
        ({"points": 50}, False, False),
    ],
)
def test_a_changed_setting_changes_only_what_depends_on_it(
    plan: Any, changes: dict[str, Any], plain_anew: bool | None, at_anew: bool | None
) -> None:
    old = plan()
    new = plan(**changes)
    if plain_anew is None:
        assert set(new) == {"plain1", "at1"}
        return
    assert (keys(old["plain0"])[0] != keys(new["plain0"])[0]) is plain_anew
    assert (keys(old["at0"])[0] != keys(new["at0"])[0]) is at_anew
    assert (keys(old["at0"])[1]) != keys(new["at0"])[1]


def test_more_points_keep_the_finished_shards(plan: Any, catalogue: Catalogue) -> None:
    catalogue.evaluators["pgd"].cls.shard = 40
    try:
        fewer = keys(plan(points=80)["plain0"])[1]
        more = keys(plan(points=200)["plain0"])[1]
    finally:
        del catalogue.evaluators["pgd"].cls.shard
    assert len(fewer) == 2
    assert more[:2] == fewer
    assert len(more) == 5


def test_a_setting_that_a_method_refuses_stops_the_plan(plan: Any) -> None:
    with pytest.raises(InputError, match=r"at\.steps must be at least 1, got 0"):
        plan(overrides=({("method", "at"): {"steps": 0}},))


def test_a_cell_tells_its_settings(plan: Any) -> None:
    cell = plan(epochs=3, overrides=({("method", "at"): {"steps": 5}},))["at0"]
    assert cell.settings == {
        "steps": 5,
        "share": 0.5,
        "train.epochs": 3,
        "train.batch": 128,
        "train.lr": 1e-3,
        "pgd.steps": 40,
        "pgd.restarts": 2,
        "pgd.loss": "margin",
        "pgd.growth": 1.5,
        "pgd.bisection_steps": 10,
    }
    assert (cell.eps, cell.arch, cell.points) == (0.1, "fc_small", 100)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch, plugin_file: Any, digits: DataSet) -> Any:
    """The jobs of a plan whose keys depend on nothing that changes with the code of today."""
    for module in ("networks", "judging"):
        monkeypatch.setattr(f"bench.plan.{module}.code_of", lambda kind, own: [kind])
    found = discover([plugin_file("stand_in", evaluator())])

    def jobs(data: DataSet = digits, **changes: Any) -> list[Job]:
        asked = Request(
            datasets=("digits",), methods=("plain",), evaluators=("stand_in",), points=10, **changes
        )
        return all_jobs(make_plan(asked, found, {"digits": data}))

    return jobs


def test_keys_stay_what_they_are_from_version_to_version(settled: Any) -> None:
    assert [job.key for job in settled()] == [
        "5c222e28e8b47fafd686202b",
        "b76178051bcfa5129d916bb3",
        "45afb54580394828b7f45b26",
    ]


def test_jobs_about_held_out_data_say_so_and_have_keys_of_their_own(
    settled: Any, digits: DataSet
) -> None:
    ordinary = settled()
    held = settled(hold_out(digits, 0.1))
    assert all("held_out" not in job.settings for job in ordinary)
    assert all(job.settings["held_out"] == 0.1 for job in held)
    assert not {job.key for job in ordinary} & {job.key for job in held}
    prints = {digits.fingerprint(part) for part in ("train", "test")}
    assert not prints & {job.settings["data"] for job in held}
