"""What a job is about, typed, is what its key digests."""

import itertools
import json
from pathlib import Path

import pytest

from bench.data.datasets import DataSet
from bench.data.holdout import hold_out
from bench.jobs.job import Job
from bench.jobs.payloads import (
    CleanPayload,
    ImportPayload,
    JudgePayload,
    TrainPayload,
    but_for,
)
from bench.plan.cells import all_jobs, make_plan
from bench.plan.request import Checkpoint, Request
from bench.plugins.catalogue import Catalogue
from bench.plugins.training import Training
from relu.errors import InputError
from relu.threat import Threat

KINDS = {
    "train": TrainPayload,
    "import": ImportPayload,
    "clean": CleanPayload,
    "judge": JudgePayload,
}


@pytest.fixture(scope="module")
def jobs(catalogue: Catalogue, digits: DataSet) -> list[Job]:
    """Of all kinds, with and without what is optional."""
    guest = Checkpoint(path="model.pt", digest="d", name="guest")
    found = []
    for share, reproducible, checkpoint in itertools.product(
        (None, 0.1), (False, True), (None, guest)
    ):
        request = Request(
            datasets=("digits",),
            methods=("plain", "mmr_at"),
            evaluators=("pgd", "kw"),
            points=20,
            reproducible=reproducible,
            checkpoint=checkpoint,
        )
        data = digits if share is None else hold_out(digits, share)
        found += all_jobs(make_plan(request, catalogue, {"digits": data}))
    return found


def test_every_job_of_a_plan_has_the_payload_of_its_kind(jobs: list[Job]) -> None:
    assert {job.kind for job in jobs} == set(KINDS)
    for job in jobs:
        assert type(job.payload) is KINDS[job.kind]
        assert job.payload.to_json() == json.loads(json.dumps(dict(job.settings)))


def test_a_payload_that_went_through_json_is_the_same(jobs: list[Job]) -> None:
    for job in jobs:
        said = json.loads(json.dumps(job.payload.to_json()))
        assert type(job.payload).from_json(said) == job.payload


def test_a_payload_is_typed(jobs: list[Job]) -> None:
    typed = [job.payload for job in jobs]
    trained = [payload for payload in typed if isinstance(payload, TrainPayload)]
    assert {payload.threat for payload in trained} == {None, Threat(norm="linf", eps=0.1)}
    assert all(payload.training == Training() for payload in trained)
    assert {payload.reproducible for payload in trained} == {False, True}
    judged = [payload for payload in typed if isinstance(payload, JudgePayload)]
    assert all(payload.part == slice(0, 20) for payload in judged)
    assert {payload.withdrawn for payload in judged} == {None}


def test_what_is_not_said_is_left_out_and_what_is_empty_is_not() -> None:
    judged = JudgePayload(
        arch="fc1",
        shape=(1, 8, 8),
        classes=10,
        dataset="digits",
        data="d",
        evaluator="pgd",
        fields={"steps": 3},
        threat=Threat(norm="l2", eps=0.3, box=(-1.0, 2.0)),
        code={},
        network="n",
        start=0,
        stop=5,
        known=("a", "b"),
        withdrawn=(),
    )
    said = judged.to_json()
    assert "held_out" not in said
    assert said.get("withdrawn") == []
    assert said["threat"] == {"norm": "l2", "eps": 0.3, "box": [-1.0, 2.0]}
    assert said["fields"] is judged.fields  # many jobs share it
    assert judged.believed == {"a", "b"}
    assert but_for(judged, ("known", "withdrawn")).keys() == said.keys() - {"known", "withdrawn"}


def test_settings_of_another_kind_are_refused_by_name(tmp_path: Path) -> None:
    job = Job(kind="clean", key="k", settings={"arch": "fc1", "colour": "red"})
    with pytest.raises(InputError, match=r"a prediction expects arch, .*; got 'colour'"):
        _ = job.payload
