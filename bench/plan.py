"""What a command asks for, as cells, and as a graph of jobs; nothing is trained or judged here."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import code
from bench.data import DataSet
from bench.discovery import Catalogue, Plugin
from bench.fields import flat
from bench.job import Job, make_job
from bench.request import Request
from bench.settings import Training
from bench.sources import SOURCES
from evaluators.interface import Evaluator
from relu.networks import skeleton
from relu.threat import Norm, Threat

SHARD = 500  # test inputs per judging job, where the evaluator does not say


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One network under one threat, a row of the leaderboard, and the jobs that fill it.

    settings: everything that was chosen, by dotted name ("steps", "train.lr", "pgd.restarts").
    group: what cells share that differ in nothing but their seed. judges: evaluator -> shards.
    refusals: evaluator -> why the cell is outside its theory.
    """

    dataset: str
    arch: str
    norm: Norm
    eps: float
    method: str
    label: str
    settings: Mapping[str, Any]
    group: str
    seed: int | None
    points: int
    network: Job
    clean: Job
    judges: Mapping[str, tuple[Job, ...]]
    evaluator_labels: Mapping[str, str]
    refusals: Mapping[str, str]

    def jobs(self) -> Iterator[Job]:
        """Each after the jobs it reads from."""
        yield from (self.network, self.clean, *itertools.chain(*self.judges.values()))

    def record(self) -> dict[str, Any]:
        """The cell as plain JSON, jobs as keys."""
        parts = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        judges = parts.pop("judges")
        evidence = {name: [job.key for job in jobs] for name, jobs in judges.items()}
        keys = {"network": self.network.key, "clean": self.clean.key, "evidence": evidence}
        return parts | keys


def make_plan(request: Request, catalogue: Catalogue, data: Mapping[str, DataSet]) -> list[Cell]:
    """The cells of a request, method by method. Raises InputError for settings that are refused."""
    cells = []
    for dataset, norm in itertools.product(request.datasets, request.norms):
        source = SOURCES[dataset]
        for arch, eps, method, seed in itertools.product(
            request.archs or (source.arch,),
            request.eps or (source.eps[norm],),
            request.methods or (None,),
            request.seeds if request.methods else (None,),
        ):
            case = Case(data=data[dataset], arch=arch, threat=Threat(norm=norm, eps=eps))
            network = (
                _imported(request, case)
                if method is None or seed is None
                else _trained(request, catalogue.methods[method], case, seed)
            )
            cells.append(_cell(request, catalogue, case, network))
    return cells


def all_jobs(cells: Sequence[Cell]) -> list[Job]:
    """Every job once, each after the jobs it reads from."""
    return list({job.key: job for cell in cells for job in cell.jobs()}.values())


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a cell is about, whatever the method."""

    data: DataSet
    arch: str
    threat: Threat

    def about(self) -> dict[str, Any]:
        """What every job says of it."""
        data = self.data
        skeleton(self.arch, data.shape, data.classes)  # refuses images it cannot take
        return {"arch": self.arch, "shape": list(data.shape), "classes": data.classes}


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where a cell's network comes from: its job, and the row's words for it."""

    job: Job
    method: str
    label: str
    settings: Mapping[str, Any]
    seed: int | None


def _imported(request: Request, case: Case) -> Network:
    checkpoint = request.checkpoint
    assert checkpoint is not None
    settings = case.about() | {"checkpoint": checkpoint.digest, "code": _code("checkpoint")}
    job = make_job("import", settings, path=checkpoint.path)
    name = checkpoint.name
    return Network(job=job, method=name, label=name, settings={}, seed=None)


def _trained(request: Request, plugin: Plugin, case: Case, seed: int) -> Network:
    own = plugin.defaults(case.data.name, case.arch, case.threat)
    asked = request.overrides.get(("method", plugin.name), {})
    method = plugin.build({k: v for k, v in own.items() if k[:6] != "train."} | dict(asked))
    loop = {k.removeprefix("train."): v for k, v in own.items() if k[:6] == "train."}
    loop |= {"epochs": request.epochs} if request.epochs is not None else {}
    training = flat(Training(**loop | dict(request.overrides.get(("train", ""), {}))))
    settings = case.about() | {
        "dataset": case.data.name,
        "data": case.data.fingerprint("train"),
        "method": plugin.name,
        "fields": flat(method),
        "code": [plugin.digest, _code("train", "data", "sources")],
        "training": training,
        "seed": seed,
        "threat": _plain(case.threat) if getattr(plugin.cls, "uses_threat", True) else None,
    }
    chosen = flat(method) | {f"train.{name}": value for name, value in training.items()}
    job = make_job("train", settings)
    return Network(job=job, method=plugin.name, label=plugin.cls.label, settings=chosen, seed=seed)


def _cell(request: Request, catalogue: Catalogue, case: Case, network: Network) -> Cell:
    available = len(case.data.y_test)
    points = min(1000, available) if request.points is None else request.points
    tested = case.about() | {"dataset": case.data.name, "data": case.data.fingerprint("test"),
                             "network": network.job.key}  # fmt: skip
    clean = make_job(
        "clean", tested | {"code": _code("verdict", "worker")}, after=(network.job.key,)
    )
    judges: dict[str, tuple[Job, ...]] = {}
    labels, refusals, settings = {}, {}, dict(network.settings)
    for plugin in sorted((catalogue.evaluators[e] for e in request.evaluators), key=_cost):
        own = plugin.defaults(case.data.name, case.arch, case.threat)
        evaluator = plugin.build(own | dict(request.overrides.get(("evaluator", plugin.name), {})))
        labels[plugin.name] = plugin.cls.label
        if (reason := _refusal(evaluator, case)) is not None:
            refusals[plugin.name] = reason
            continue
        fields = flat(evaluator)
        settings |= {f"{plugin.name}.{name}": value for name, value in fields.items()}
        judging = tested | {"evaluator": plugin.name, "fields": fields,
                            "threat": _plain(case.threat),
                            "code": [plugin.digest, _code("verdict", "worker")]}  # fmt: skip
        after = (network.job.key, clean.key)
        shards = _shards(points, getattr(plugin.cls, "shard", SHARD))
        judges[plugin.name] = tuple(
            _judge(judging | {"start": start, "stop": stop}, after, judges)
            for start, stop in shards
        )
    return Cell(
        dataset=case.data.name, arch=case.arch, norm=case.threat.norm, eps=case.threat.eps,
        points=points, network=network.job, clean=clean, judges=judges, evaluator_labels=labels,
        refusals=refusals, method=network.method, label=network.label, seed=network.seed,
        settings=settings, group=_group(network, judges, points),
    )  # fmt: skip


def _group(network: Network, judges: Mapping[str, tuple[Job, ...]], points: int) -> str:
    """A digest of everything but the seed (and the keys, which depend on it)."""
    ours = ("network", "known", "start", "stop")
    judging = [
        {k: v for k, v in jobs[0].settings.items() if k not in ours} for jobs in judges.values()
    ]
    trained = {k: v for k, v in network.job.settings.items() if k != "seed"}
    return make_job("judge", {"network": trained, "judging": judging, "points": points}).key


def _refusal(evaluator: Evaluator, case: Case) -> str | None:
    try:
        net = skeleton(case.arch, case.data.shape, case.data.classes)
        return str(evaluator.refusal(net, case.threat) or "") or None
    except Exception as error:
        return f"its refusal() raises {type(error).__name__}: {error}"


def _shards(points: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(start + step, points)) for start in range(0, points, step)]


def _judge(
    settings: Mapping[str, Any], after: tuple[str, ...], judges: Mapping[str, tuple[Job, ...]]
) -> Job:
    """A judging job that hears of all earlier evidence about its inputs."""
    known: list[str] = []
    for jobs in judges.values():
        step = jobs[0].settings["stop"]
        known += [j.key for j in jobs[settings["start"] // step : -(-settings["stop"] // step)]]
    informed_by = tuple(known)
    return make_job("judge", {**settings, "known": known}, after=after, informed_by=informed_by)


def _plain(threat: Threat) -> dict[str, Any]:
    return {"norm": threat.norm, "eps": threat.eps, "box": list(threat.box)}


@functools.cache
def _code(*modules: str) -> str:
    """The digest of bench modules and of the mathematics they use."""
    return code.digest(*(Path(__file__).parent / f"{module}.py" for module in modules))


def _cost(plugin: Plugin) -> tuple[int, str]:
    return getattr(plugin.cls, "cost", 100), plugin.name
