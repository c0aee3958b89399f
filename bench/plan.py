"""What a command asks for, as cells, and as a graph of jobs; nothing is trained or judged here."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.data.case import Case
from bench.data.datasets import DataSet
from bench.data.given_inputs import GivenInputs
from bench.data.method_defaults import method_defaults
from bench.data.sources import Source
from bench.jobs.cell import Cell
from bench.jobs.job import Job, JobTemplate
from bench.jobs.payloads import CleanPayload, ImportPayload, JudgePayload, TrainPayload, but_for
from bench.plugins.catalogue import Catalogue, Plugin
from bench.plugins.code_digests import code_of
from bench.plugins.nested_settings import flat
from bench.plugins.settings import Overrides, Training
from bench.request import Checkpoint, Request
from evaluators.interface import Evaluator
from relu.errors import InputError
from relu.threat import Norm, Threat, format_box

SHARD = 500  # test inputs per judging job, where the evaluator does not say
SHARD_OWN = ("network", "start", "stop", "known")  # what no two judgings of an evaluator share


def make_plan(request: Request, catalogue: Catalogue, data: Mapping[str, DataSet]) -> list[Cell]:
    """The cells of a request, method by method. Raises InputError for settings that are refused."""
    return once(_cells(request, catalogue, data))


def once(cells: Iterable[Cell]) -> list[Cell]:
    """Each cell once: parts of a suite may agree, and a grid's points on what a method reads."""
    by_key: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        key = cell.group, cell.network.key
        tables = (*by_key[key].published, *cell.published) if key in by_key else cell.published
        by_key[key] = dataclasses.replace(cell, published=tuple(dict.fromkeys(tables)))
    return list(by_key.values())


def _cells(request: Request, catalogue: Catalogue, data: Mapping[str, DataSet]) -> Iterator[Cell]:
    for dataset, norm in itertools.product(request.datasets, request.norms):
        source = catalogue.sources[dataset]
        given = _given_radii(request, data[dataset], norm)
        for arch, threat, overrides in itertools.product(
            request.archs or (source.arch,),
            _threats(request, source, dataset, norm, given),
            request.overrides,
        ):
            architecture = catalogue.architecture(arch)
            assert architecture is not None, arch
            case = Case(data=data[dataset], architecture=architecture, threat=threat)
            judged = case if given is None else dataclasses.replace(case, threat=given)
            judging = _Judging(request, catalogue, judged, overrides)
            for network in _networks(request, catalogue, case, overrides):
                yield judging.cell(network)


def _given_radii(request: Request, data: DataSet, norm: Norm) -> Threat | None:
    """What a file's inputs are judged within, where each has a radius of its own. InputError."""
    if not isinstance(data, GivenInputs) or data.eps is None:
        return None
    if request.eps and request.checkpoint is not None:
        raise InputError(f"{data.path} gives each input an eps of its own: leave out --eps")
    return data.threat(norm, request.box, request.count(len(data.y_test)))


def _threats(
    request: Request, source: Source, dataset: str, norm: Norm, given: Threat | None
) -> list[Threat]:
    """What networks are trained against: for each eps one. InputError where none is known."""
    if given is not None and request.checkpoint is not None:
        return [given]
    if not request.eps and norm not in source.eps:
        raise InputError(f"--eps is needed: {dataset} has no usual radius for {norm}")
    radii = request.eps or (source.eps[norm],)
    return [Threat(norm=norm, eps=eps, box=request.box) for eps in radii]


def all_jobs(cells: Sequence[Cell]) -> list[Job]:
    """Every job once, each after the jobs it reads from."""
    return list({job.key: job for cell in cells for job in cell.jobs()}.values())


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


def _networks(
    request: Request, catalogue: Catalogue, case: Case, overrides: Overrides
) -> Iterator[Network]:
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
    chosen = flat(method) | {f"train.{name}": value for name, value in flat(training).items()}
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


class _Judging:
    """How the networks of a case are judged: built once, then a cell for each network."""

    def __init__(
        self, request: Request, catalogue: Catalogue, case: Case, overrides: Overrides
    ) -> None:
        self.case = case
        self.cascade = request.cascade
        self.published = (request.published,) if request.published else ()
        self.points = request.count(len(case.data.y_test))
        self.description = case.description() | {
            "dataset": case.data.name,
            "data": case.data.fingerprint("test"),
        }
        self.inputs = case.data.path if isinstance(case.data, GivenInputs) else ""
        self.given = isinstance(case.threat.eps, Tensor)  # whether each input has its own radius
        clean = CleanPayload(**self.description, code=code_of("clean", None), network="")
        self.clean = JobTemplate("clean", but_for(clean, ("network",)), resource="gpu")
        self.labels: dict[str, str] = {}
        self.refusals: dict[str, str] = {}
        self.settings: dict[str, Any] = {}
        self.steps: dict[str, tuple[JobTemplate, int]] = {}  # evaluator -> its jobs, their size
        for plugin in sorted((catalogue.evaluators[e] for e in request.evaluators), key=_cost):
            self._add(plugin, overrides.get(("evaluator", plugin.name), {}))
        judging = [[template.make({}).key, step] for template, step in self.steps.values()]
        # With the threat, as there may be nobody who judges.
        description = self.description | {"threat": case.threat.to_json()}
        alike: dict[str, Any] = {"judging": judging, "points": self.points, "about": description}
        alike |= {} if self.cascade else {"cascade": False}
        self.group = JobTemplate("judge", alike, resource="cpu")

    def _add(self, plugin: Plugin, asked: Mapping[str, Any]) -> None:
        case = self.case
        defaults = plugin.defaults(case.data.name, case.architecture.name, case.threat.widest)
        evaluator = plugin.build(defaults | dict(asked))
        self.labels[plugin.name] = plugin.cls.label
        if (reason := _refusal(evaluator, case)) is not None:
            self.refusals[plugin.name] = reason
            return
        fields = flat(evaluator)
        self.settings |= {f"{plugin.name}.{name}": value for name, value in fields.items()}
        payload = JudgePayload(
            **self.description,
            evaluator=plugin.name,
            fields=fields,
            threat=case.threat,
            code=code_of("judge", plugin.code),
            network="",
            start=0,
            stop=0,
            known=(),
        )
        own = (*SHARD_OWN, *(("threat",) if self.given else ()))
        template = JobTemplate("judge", but_for(payload, own), resource=plugin.cls.resource)
        self.steps[plugin.name] = template, getattr(plugin.cls, "shard", SHARD)

    def _given(self, network: Network) -> dict[str, Any]:
        """What a row says of inputs from a file, and what was trained against beside theirs."""
        said: dict[str, Any] = {"inputs": Path(self.inputs).name} if self.inputs else {}
        trained = network.job.settings.get("threat")
        return said | ({"train.eps": trained["eps"]} if trained and self.given else {})

    def _shards(self, step: int) -> Iterator[dict[str, Any]]:
        """The inputs of each job, and its part of their radii where each has its own."""
        for start in range(0, self.points, step):
            shard = {"start": start, "stop": min(start + step, self.points)}
            part = self.case.threat.at(slice(*shard.values()))
            yield shard | ({"threat": part.to_json()} if self.given else {})

    def cell(self, network: Network) -> Cell:
        """The row of one network."""
        network_field = {"network": network.job.key}
        clean = self.clean.make(network_field, after=(network.job.key,), path=self.inputs)
        judges: dict[str, tuple[Job, ...]] = {}
        for name, (template, step) in self.steps.items():
            judges[name] = tuple(
                _judge(
                    template,
                    network_field | shard,
                    (network.job.key, clean.key),
                    judges if self.cascade else {},
                    self.inputs,
                )
                for shard in self._shards(step)
            )
        case = self.case
        return Cell(
            dataset=case.data.name,
            arch=case.architecture.name,
            norm=case.threat.norm,
            eps=case.threat.radii,
            box=format_box(case.threat.box),
            points=self.points,
            network=network.job,
            clean=clean,
            judges=judges,
            evaluator_labels=self.labels,
            refusals=self.refusals,
            method=network.method,
            label=network.label,
            seed=network.seed,
            settings={**network.settings, **self.settings, **self._given(network)},
            group=self.group.make({"network": network.group}).key,
            cascade=self.cascade,
            published=self.published,
        )


def _judge(
    template: JobTemplate,
    shard: Mapping[str, Any],
    after: tuple[str, ...],
    judges: Mapping[str, tuple[Job, ...]],
    inputs: str,
) -> Job:
    """A judging job that hears of all earlier evidence about its inputs; they may be in a file."""
    known: list[str] = []
    for jobs in judges.values():
        step = jobs[0].settings["stop"]
        known += [j.key for j in jobs[shard["start"] // step : -(-shard["stop"] // step)]]
    links = {"after": after, "informed_by": tuple(known), "path": inputs}
    return template.make({**shard, "known": known}, **links)


def _refusal(evaluator: Evaluator, case: Case) -> str | None:
    try:
        net = case.architecture.skeleton(case.data.shape, case.data.classes)
        return str(evaluator.refusal(net, case.threat.widest) or "") or None
    except Exception as error:
        return f"its refusal() raises {type(error).__name__}: {error}"


def _cost(plugin: Plugin) -> tuple[int, str]:
    return getattr(plugin.cls, "cost", 100), plugin.name
