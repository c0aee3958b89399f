"""How networks are judged: the jobs of each evaluator, and what each hears of the others."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.data.case import Case
from bench.data.given_inputs import GivenInputs
from bench.jobs.cell import Cell
from bench.jobs.job import Job, JobTemplate
from bench.jobs.payloads import CleanPayload, JudgePayload, but_for
from bench.plan.networks import Network
from bench.plan.request import Request
from bench.plugins.catalogue import Catalogue, Plugin
from bench.plugins.code_digests import code_of
from bench.plugins.nested_settings import flat
from bench.plugins.settings import Overrides
from evaluators.interface import Evaluator
from relu.threat import Threat, format_box

SHARD = 500  # test inputs per judging job, where the evaluator does not say
SHARD_OWN = ("network", "start", "stop", "known")  # what no two judgings of an evaluator share


class Judging:
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
        self.union = dict(request.judged)
        self.given = isinstance(case.threat.eps, Tensor)  # whether each input has its own radius
        clean = CleanPayload(**self.description, code=code_of("clean", None), network="")
        self.clean = JobTemplate("clean", but_for(clean, ("network",)), resource="gpu")
        self.labels: dict[str, str] = {}
        self.refusals: dict[str, str] = {}
        self.settings: dict[str, Any] = {}
        self.steps: dict[str, tuple[JobTemplate, int]] = {}  # evaluator -> its jobs, their size
        chosen = [catalogue.evaluators[name] for name in request.evaluators]
        for plugin in sorted(chosen, key=lambda plugin: plugin.turn):
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
        """What a row says of inputs from a file, of a union, and of what was trained against."""
        said: dict[str, Any] = {"inputs": Path(self.inputs).name} if self.inputs else {}
        trained = network.job.settings.get("threat")
        if trained and self.union:  # for people: what tells rows of one method apart
            said |= {"train.threat": str(Threat.from_json(trained))}
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
            trained=network.job.settings.get("threat"),
            union=self.union,
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
