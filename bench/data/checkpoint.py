"""Networks trained elsewhere: their weights, read without ever executing code."""

import hashlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bench.data.matlab import from_matlab
from bench.data.sources import HEAD, placeholder
from bench.data.weights import COUNTER, State, matched, split_normalisation
from relu.errors import InputError
from relu.network.architecture import Architecture
from relu.network.layers import Shape

DEEPEST = 5  # containers around a state dict
SUFFIXES = (".safetensors", ".pt", ".pth", ".npz", ".mat")
LISTED = 9  # members in a message


@dataclass(frozen=True, kw_only=True)
class Member:
    """One of the networks in a file: where it is there, its weights, and their digest.

    mean, std: of the images that it was trained on, where the file says them.
    """

    place: str
    state: State
    digest: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def read_checkpoint(
    path: Path,
    arch: Architecture,
    shape: Sequence[int],
    classes: int,
    *,
    member: int | None = None,
    wanted: str | None = None,
) -> Member:
    """The network in the file, its weights a float32 state dict of the architecture.

    Formats by suffix: safetensors, PyTorch (`weights_only=True`, possibly wrapped), npz (no
    pickles), mat (also with the names and layouts of the networks that [CAH19] published: see
    bench/data/matlab.py). Tensors are matched as bench/data/weights.py says. The bench judges the
    network with its weights rounded to float32. A mean and a standard deviation of each channel,
    which many files have beside the weights, are no part of the state dict.

    member: which of several networks that fit, counted from 1. wanted: the digest of the one that
    is meant, in place of `member`. Raises InputError, also where several fit and neither is given.
    """
    fitting = _fitting(path, arch, tuple(shape), classes)
    if wanted is not None:
        same = [candidate for candidate in fitting if candidate.digest == wanted]
        if not same:
            raise InputError(f"{path} no longer holds the weights that it held in the plan")
        return same[0]
    if member is None and len(fitting) == 1:
        return fitting[0]
    if member is None or member > len(fitting):
        raise InputError(_choices(path, arch.name, fitting, member))
    return fitting[member - 1]


def digest(state: Mapping[str, Tensor]) -> str:
    """What tells weights from all others: names, shapes and float32 values, whatever the file."""
    hasher = hashlib.sha256()
    for name, tensor in state.items():
        hasher.update(f"{name} {tuple(tensor.shape)}\0".encode())
        hasher.update(tensor.detach().float().contiguous().numpy().tobytes())
    return hasher.hexdigest()[:16]


def _choices(path: Path, arch: str, fitting: Sequence[Member], member: int | None) -> str:
    """The line for a member that is not there, or is not named."""
    if len(fitting) == 1:
        return f"--member {member}: {path} holds one network that fits {arch}"
    listed = [f"{i} ({candidate.place})" for i, candidate in enumerate(fitting[:LISTED], 1)]
    more = ", ..." if len(fitting) > LISTED else ""
    suffix = "" if member is None else f", got {member}"
    return (
        f"{path} holds {len(fitting)} networks that fit {arch}: say which with --member: "
        f"{', '.join(listed)}{more}{suffix}"
    )


def _fitting(path: Path, arch: Architecture, shape: Shape, classes: int) -> list[Member]:
    """The networks that fit, each once, in the file's order; raises InputError where none does."""
    fitting: dict[str, Member] = {}
    reasons: dict[str, int] = {}  # and how large what is refused is: the largest is the network
    for place, tensors in _read(path):
        weights, mean, std = split_normalisation(tensors, shape[0])
        try:
            state = _state(weights, arch, shape, classes, matlab=path.suffix.lower() == ".mat")
        except InputError as error:
            reason = f"{path}: {place}: {error}" if place else f"{path}: {error}"
            reasons[reason] = sum(tensor.numel() for tensor in tensors.values())
        else:
            name = digest(state)
            fitting.setdefault(
                name, Member(place=place, state=state, digest=name, mean=mean, std=std)
            )
    if not fitting:
        raise InputError(max(reasons, key=lambda reason: reasons[reason]))
    return list(fitting.values())


def _state(
    tensors: Mapping[str, Tensor], arch: Architecture, shape: Shape, classes: int, *, matlab: bool
) -> State:
    """The tensors as the architecture's state dict, checked and in float32."""
    tensors = from_matlab(tensors, arch, shape, classes) if matlab else tensors
    state = matched(tensors, arch, shape, classes)
    weights = {name: tensor for name, tensor in state.items() if not name.endswith(COUNTER)}
    for name, tensor in weights.items():
        usable = tensor.is_floating_point() and tensor.layout == torch.strided
        if not usable or tensor.is_quantized or tensor.device.type != "cpu":
            raise InputError(f"{name} is no dense tensor of real numbers ({tensor.dtype})")
        if not tensor.float().isfinite().all():
            raise InputError(f"{name} has values that are not finite in float32")
        if name.endswith("running_var") and (tensor < 0).any():
            raise InputError(f"{name} has negative variances")
    return state | {name: tensor.float() for name, tensor in weights.items()}


def _read(path: Path) -> list[tuple[str, State]]:
    """(place in the file, tensors by name) of everything that may be a network's state dict."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"a checkpoint ends in one of {', '.join(SUFFIXES)}, got {str(path)!r}")
    require_file(path)
    try:
        if suffix == ".safetensors":  # whose order is that of bytes: writers sort
            return [("", dict(sorted(load_file(path).items())))]
        if suffix in (".pt", ".pth"):
            return _state_dicts(_read_torch(path))
        if suffix == ".npz":
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return [("", {name: _tensor(name, archive[name]) for name in archive.files})]
        return [("", _read_matlab(path))]
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except pickle.UnpicklingError as error:
        raise InputError(f"{path} {_refused(str(error))}") from error
    except SafetensorError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    except Exception as error:  # each reader has a zoo of its own for damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if "Object arrays" in reason:
            reason = "an array in it holds Python objects, which are never opened"
        raise InputError(f"{path} is damaged or not a {path.suffix} file: {reason}") from error


def require_file(path: Path) -> None:
    """Raises InputError where there is no file, or another than its name says."""
    cannot = f"cannot read checkpoint {str(path)!r}"
    try:
        if path.is_dir():
            raise InputError(f"{cannot}: it is a folder, name a file in it")
        if not path.is_file():
            raise InputError(f"{cannot}: no such file")
        with path.open("rb") as file:
            what = placeholder(file.read(HEAD))
    except OSError as error:
        raise InputError(f"{cannot}: {error.strerror}") from error
    if what is not None:
        raise InputError(f"{path} {what}")


def _read_matlab(path: Path) -> State:
    try:
        arrays = scipy.io.loadmat(str(path))
    except NotImplementedError as error:
        raise InputError("no MATLAB file up to version 7: save with -v7") from error
    return {name: _tensor(name, array) for name, array in arrays.items() if name[:2] != "__"}


def _read_torch(path: Path) -> Any:
    """What torch.save wrote. Raises InputError for other things that PyTorch writes."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    if zipped:
        if not zipfile.is_zipfile(path):
            raise InputError("the end of the file is missing: copy or download it again")
        with zipfile.ZipFile(path) as archive:
            parts = {name.rpartition("/")[2] for name in archive.namelist()}
        if "data.pkl" not in parts or "constants.pkl" in parts:
            what = "a TorchScript archive" if "constants.pkl" in parts else "a zip archive"
            raise InputError(f"{what} with code or other things: save net.state_dict() instead")
    with warnings.catch_warnings(action="ignore"):  # our one line says it better
        return torch.load(path, map_location="cpu", weights_only=True)


def _refused(text: str) -> str:
    """What is wrong where unpickling was refused, from torch's text."""
    named = re.search(r"GLOBAL (\S+)", text)
    if named is None:
        return "is damaged or holds more than weights, which is never executed"
    return (
        f"holds more than weights ({named[1]}), which is never executed: save net.state_dict() "
        f"instead of the whole"
    )


def _state_dicts(loaded: Any) -> list[tuple[str, State]]:
    """All state dicts inside {"model": ...} or lists, as published checkpoints have them."""
    state_dicts = list(_walk(loaded, "", DEEPEST, set()))
    if not state_dicts:
        what = f"{type(loaded).__name__}"
        if isinstance(loaded, Mapping):
            other = [f"{k} ({type(v).__name__})" for k, v in loaded.items() if not _is_tensor(v)]
            what = f"a dict with {', '.join(other[:3])}" if other else "an empty dict"
        raise InputError(f"expected a state dict, names and tensors alone, found {what}")
    return state_dicts


def _walk(value: Any, place: str, depth: int, seen: set[int]) -> Iterator[tuple[str, State]]:
    """(place, state dict) of all state dicts in a value, each object once."""
    if depth < 0 or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Mapping):
        if value and all(_is_tensor(v) for v in value.values()):
            yield place, {str(name): tensor for name, tensor in value.items()}
            return
        for name, inner in value.items():
            yield from _walk(inner, f"{place}.{name}".removeprefix("."), depth - 1, seen)
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value, 1):
            yield from _walk(inner, f"{place} no. {i}".strip(), depth - 1, seen)


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def _tensor(name: str, array: np.ndarray) -> Tensor:
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} holds no numbers but {array.dtype}: leave it out")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))
