"""The cells of a request, each once, and all their jobs."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.data.case import Case
from bench.data.datasets import DataSet
from bench.data.given_inputs import GivenInputs
from bench.data.holdout import HeldOut
from bench.data.sources import Source
from bench.jobs.cell import Cell
from bench.jobs.job import Job
from bench.plan.judging import Judging
from bench.plan.networks import networks_of
from bench.plan.request import Request
from bench.plugins.catalogue import Catalogue
from relu.errors import InputError
from relu.threat import Norm, Threat


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
            judged = dataclasses.replace(judged, data=judged_data(request, data[dataset]))
            judgings = [
                Judging(request, catalogue, dataclasses.replace(judged, threat=each), overrides)
                for each in _judged_threats(request) or (judged.threat,)
            ]
            for network in networks_of(request, catalogue, case, overrides):
                for judging in judgings:
                    yield judging.cell(network)


def judged_data(request: Request, data: DataSet) -> DataSet:
    """What is judged: the data set that is trained on, or the one with its own test set."""
    return data.whole if request.on_test and isinstance(data, HeldOut) else data


def _judged_threats(request: Request) -> list[Threat]:
    """What networks are judged under, where it is not what each was trained for."""
    return [Threat(norm=norm, eps=eps, box=request.box) for norm, eps in request.judged]


def _given_radii(request: Request, data: DataSet, norm: Norm) -> Threat | None:
    """What a file's inputs are judged within, where each has a radius of its own. InputError."""
    if not isinstance(data, GivenInputs) or data.eps is None:
        return None
    if request.judged:
        raise InputError(f"{data.path} gives each input an eps of its own: leave out --judge")
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
