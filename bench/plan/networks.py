"""Where networks come from: the jobs that train them, or read the given file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.data.case import Case
from bench.data.method_defaults import method_defaults
from bench.jobs.job import Job, JobTemplate
from bench.jobs.payloads import ImportPayload, TrainPayload, but_for
from bench.plan.request import Checkpoint, Request
from bench.plugins.catalogue import Catalogue, Plugin
from bench.plugins.code_digests import code_of
from bench.plugins.nested_settings import flat
from bench.plugins.settings import Overrides
from bench.plugins.training import Training
from relu.errors import InputError
from relu.threat import Threat


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where a cell's network comes from: its job, and the row's words for it.

    group: what it shares with networks that differ in nothing but their seed.
    """

    job: Job
    method: str
    label: str
    settings: Mapping[str, Any]
    seed: int | None
    group: str


def networks_of(
    request: Request, catalogue: Catalogue, case: Case, overrides: Overrides
) -> Iterator[Network]:
    """The networks of a case: the given one, or those of all methods and seeds. InputError."""
    if request.checkpoint is not None:
        yield _imported(request.checkpoint, case)
        return
    for name in request.methods:
        yield from _trained(request, catalogue.methods[name], case, overrides)


def _imported(checkpoint: Checkpoint, case: Case) -> Network:
    code = code_of("import", None)
    payload = ImportPayload(**case.description(), checkpoint=checkpoint.digest, code=code)
    template = JobTemplate("import", but_for(payload, ("checkpoint", "code")), resource="cpu")
    job = template.make({"checkpoint": checkpoint.digest, "code": code}, path=checkpoint.path)
    name = checkpoint.name
    return Network(job=job, method=name, label=name, settings={}, seed=None, group=job.key)


def usual_settings(plugin: Plugin, dataset: str, arch: str, threat: Threat) -> dict[str, Any]:
    """A method's settings where nobody asks for others: its own, and those of the data set."""
    there = method_defaults(plugin.name, dataset, arch, threat)
    return plugin.defaults(dataset, arch, threat) | there


def _trained(
    request: Request, plugin: Plugin, case: Case, overrides: Overrides
) -> Iterator[Network]:
    """The networks of one method, seed by seed."""
    if not len(case.data.y_train):
        raise InputError(f"{case.data.name} has no training images: it can be judged on alone")
    defaults = usual_settings(plugin, case.data.name, case.architecture.name, case.threat)
    asked = overrides.get(("method", plugin.name), {})
    method = plugin.build({k: v for k, v in defaults.items() if k[:6] != "train."} | dict(asked))
    loop = {k.removeprefix("train."): v for k, v in defaults.items() if k[:6] == "train."}
    loop |= {"epochs": request.epochs} if request.epochs is not None else {}
    training = Training(**loop | dict(overrides.get(("train", ""), {})))
    payload = TrainPayload(
        **case.description(),
        dataset=case.data.name,
        data=case.data.fingerprint("train"),
        method=plugin.name,
        fields=flat(method),
        code=code_of("train", plugin.code),
        training=training,
        threat=case.threat if getattr(plugin.cls, "uses_threat", True) else None,
        reproducible=request.reproducible,
        seed=request.seeds[0],
    )
    chosen = flat(method) | {f"train.{name}": value for name, value in training.to_json().items()}
    template = JobTemplate("train", but_for(payload, ("seed",)), resource="gpu")
    group = template.make({}).key
    for seed in request.seeds:
        yield Network(
            job=template.make({"seed": seed}),
            method=plugin.name,
            group=group,
            label=plugin.cls.label,
            settings=chosen,
            seed=seed,
        )
