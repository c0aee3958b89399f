"""`eval`: a network trained elsewhere, and what is asked of it."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.checkpoint import Member, read_checkpoint
from bench.data.onnx_file import ONNX, is_onnx, onnx_architecture, read_onnx_file
from bench.face.cell_filter import keep
from bench.face.options import Options
from bench.face.requests import make_request
from bench.parsing import numbers, one_number
from bench.plan.request import Checkpoint, Request
from bench.plugins.catalogue import WIDTHS, Catalogue
from relu.errors import InputError
from relu.network.architecture import Architecture

NEARLY = 0.8  # of the error of guessing


@dataclass(frozen=True, kw_only=True)
class Guest:
    """What is asked of a network from a file; the catalogue has its architecture."""

    request: Request
    catalogue: Catalogue

    @property
    def classes(self) -> int:
        """Those of the images that it is judged on."""
        return self.catalogue.sources[self.request.datasets[0]].classes


def near_chance(test_error: float | None, classes: int) -> str:
    """A line about what may be missing, where a network does hardly better than guessing."""
    chance = 1 - 1 / classes
    if test_error is None or test_error < NEARLY * chance:
        return ""
    return (
        f"test error {test_error:.1%} is near chance ({chance:.0%}): was the network trained on "
        "normalised pixels (--mean, --std), on pixels or channels in another order, or on another "
        "--dataset?\n"
    )


def make_guest(options: Options, catalogue: Catalogue) -> Guest:
    """The network of the command, read once to see that it fits. Raises InputError."""
    (request,) = keep([make_request(options, catalogue)], options.only, catalogue)
    if options.dataset is None and not any(s.file for s in catalogue.sources.values()):
        raise InputError(f"eval expects a --dataset, of {', '.join(catalogue.sources)}")
    if len(request.datasets) > 1 or len(request.archs) > 1:
        raise InputError("eval expects one --dataset and one --arch: those of the checkpoint")
    path = Path(options.checkpoint)
    member = one_number([] if options.member is None else [options.member], "--member")
    if is_onnx(path):
        for option in ("arch", "member", "mean", "std"):
            if options.get(option) is not None:
                raise InputError(f"an ONNX file says what network it is: leave out --{option}")
        return _onnx(request, catalogue, path, options.name)
    if not request.archs:
        valid = ", ".join([*catalogue.architectures, WIDTHS])
        raise InputError(f"eval expects an --arch, of {valid}")
    source = catalogue.sources[request.datasets[0]]
    arch = catalogue.architecture(request.archs[0])
    assert arch is not None, request.archs
    network = read_checkpoint(path, arch, source.shape, source.classes, member=member)
    arch = _normalised(arch, network, options)
    usual = path.stem if member is None else f"{path.stem} no. {member}"
    checkpoint = _checkpoint(path, network.digest, options.name or usual)
    request = dataclasses.replace(request, checkpoint=checkpoint)
    return Guest(request=request, catalogue=_with(catalogue, arch))


def _onnx(request: Request, catalogue: Catalogue, path: Path, name: str | None) -> Guest:
    source = catalogue.sources[request.datasets[0]]
    try:
        arch = onnx_architecture(read_onnx_file(path))
        arch.skeleton(source.shape, source.classes)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    checkpoint = _checkpoint(path, arch.code, name or path.stem)
    return Guest(
        request=dataclasses.replace(request, archs=(ONNX,), checkpoint=checkpoint),
        catalogue=_with(catalogue, arch),
    )


def _with(catalogue: Catalogue, arch: Architecture) -> Catalogue:
    """The catalogue in which the architecture is the one of its name."""
    architectures = {**catalogue.architectures, arch.name: arch}
    return dataclasses.replace(catalogue, architectures=architectures)


def _normalised(arch: Architecture, network: Member, options: Options) -> Architecture:
    """The architecture behind the normalisation that the options or the file say."""
    asked = {name: numbers(options.get(name), f"--{name}") for name in ("mean", "std")}
    if bool(asked["mean"]) != bool(asked["std"]):
        raise InputError("--mean and --std belong together: give both")
    if asked["mean"] and network.mean and asked != {"mean": network.mean, "std": network.std}:
        there = f"mean {_listed(network.mean)} and std {_listed(network.std)}"
        raise InputError(f"{options.checkpoint} itself says {there}: leave out --mean and --std")
    mean = asked["mean"] or network.mean
    std = asked["std"] or network.std
    if not all(value > 0 for value in std):
        raise InputError(f"--std expects numbers above 0, got {_listed(std)}")
    return arch.normalised(mean, std)


def _listed(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _checkpoint(path: Path, digest: str, name: str) -> Checkpoint:
    return Checkpoint(path=str(path.absolute()), digest=digest, name=name)
