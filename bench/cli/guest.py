"""`eval`: a network trained elsewhere, and what is asked of it."""

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path

from bench.cli.requests import make_request
from bench.data.checkpoint import digest, read_checkpoint
from bench.data.onnx_file import ONNX, is_onnx, onnx_architecture, read_onnx_file
from bench.parsing import one_number
from bench.plugins.catalogue import Catalogue
from bench.request import Checkpoint, Request
from relu.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Guest:
    """What is asked of a network from a file; the catalogue has its architecture."""

    request: Request
    catalogue: Catalogue


def make_guest(options: argparse.Namespace, catalogue: Catalogue) -> Guest:
    """The network of the command, read once to see that it fits. Raises InputError."""
    request = make_request(options, catalogue)
    if options.dataset is None and not any(s.file for s in catalogue.sources.values()):
        raise InputError(f"eval expects a --dataset, of {', '.join(catalogue.sources)}")
    if len(request.datasets) > 1 or len(request.archs) > 1:
        raise InputError("eval expects one --dataset and one --arch: those of the checkpoint")
    path = Path(options.checkpoint)
    member = one_number([] if options.member is None else [options.member], "--member")
    if is_onnx(path):
        return _onnx(request, catalogue, path, member, options.name)
    if not request.archs:
        raise InputError(f"eval expects an --arch, of {', '.join(catalogue.architectures)}")
    source = catalogue.sources[request.datasets[0]]
    arch = catalogue.architectures[request.archs[0]]
    weights = read_checkpoint(path, arch, source.shape, source.classes, member=member)
    usual = path.stem if member is None else f"{path.stem} no. {member}"
    checkpoint = _checkpoint(path, digest(weights), options.name or usual)
    return Guest(request=dataclasses.replace(request, checkpoint=checkpoint), catalogue=catalogue)


def _onnx(
    request: Request, catalogue: Catalogue, path: Path, member: int | None, name: str | None
) -> Guest:
    if request.archs or member is not None:
        option = "--arch" if request.archs else "--member"
        raise InputError(f"an ONNX file says what network it is: leave out {option}")
    source = catalogue.sources[request.datasets[0]]
    try:
        arch = onnx_architecture(read_onnx_file(path))
        arch.skeleton(source.shape, source.classes)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    checkpoint = _checkpoint(path, arch.code, name or path.stem)
    return Guest(
        request=dataclasses.replace(request, archs=(ONNX,), checkpoint=checkpoint),
        catalogue=dataclasses.replace(
            catalogue, architectures={**catalogue.architectures, ONNX: arch}
        ),
    )


def _checkpoint(path: Path, digest: str, name: str) -> Checkpoint:
    return Checkpoint(path=str(path.absolute()), digest=digest, name=name)
