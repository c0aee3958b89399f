"""Networks trained elsewhere: their weights, read without ever executing code."""

import hashlib
import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from relu.names import InputError
from relu.networks import build

WRAPPERS = ("state_dict", "model_state_dict", "net", "model", "weights")
DEEPEST = 5  # containers around a state dict
SUFFIXES = (".safetensors", ".pt", ".pth", ".npz", ".mat")


def digest(path: Path) -> str:
    """A digest of the file's contents. Raises InputError where it cannot be read."""
    try:
        if not path.is_file():
            raise InputError(f"cannot read checkpoint {str(path)!r}: no such file")
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise InputError(f"cannot read checkpoint {str(path)!r}: {error.strerror}") from error


def read_checkpoint(path: Path, arch: str, shape: Sequence[int], classes: int) -> dict[str, Tensor]:
    """The weights in the file as a float32 state dict of the architecture.

    Formats by suffix: safetensors, PyTorch (`weights_only=True`, possibly wrapped), npz (no
    pickles), mat (also with the names and layouts of the networks that [CAH19] published:
    dense weights transposed, images as height x width x channels). Tensors are matched by name,
    else weights and biases each in the natural order of their names. The bench judges the network
    with its weights rounded to float32. Raises InputError with expected and found shapes.
    """
    net = build(arch, tuple(shape), classes)
    found = _read(path)
    _require_plain(path, found)
    if path.suffix.lower() == ".mat":
        found = _published(path, found, net, shape) or found
    expected = net.state_dict()
    if len(found) != len(expected):
        raise InputError(
            f"{path}: {arch} has {len(expected)} tensors ({_shapes(expected)}), "
            f"the checkpoint has {len(found)} ({_shapes(found)})"
        )
    if set(found) != set(expected):
        found = _renamed(path, found, expected)
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            raise InputError(
                f"{path}: {arch} on images of shape {tuple(shape)} expects {name} of shape "
                f"{tuple(tensor.shape)}, found {tuple(found[name].shape)}"
            )
        if not found[name].float().isfinite().all():
            raise InputError(f"{path}: {name} has values that are not finite in float32")
    return {name: found[name].float() for name in expected}


def _read(path: Path) -> dict[str, Tensor]:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"a checkpoint ends in one of {', '.join(SUFFIXES)}, got {str(path)!r}")
    if not path.is_file():
        raise InputError(f"cannot read checkpoint {str(path)!r}: no such file")
    try:
        if suffix == ".safetensors":
            return load_file(path)
        if suffix in (".pt", ".pth"):
            with warnings.catch_warnings(action="ignore"):  # our one line says it better
                return _unwrap(path, torch.load(path, map_location="cpu", weights_only=True))
        if suffix == ".npz":
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return {name: _tensor(archive[name]) for name in archive.files}
        arrays = scipy.io.loadmat(str(path))
        return {name: _tensor(a) for name, a in arrays.items() if name[:2] != "__"}
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is damaged or holds more than weights, which is never executed"
        ) from error
    except SafetensorError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    except Exception as error:  # each reader has a zoo of its own for damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} is damaged or not a {path.suffix} file: {reason}") from error


def _unwrap(path: Path, loaded: Any) -> dict[str, Tensor]:
    """The state dict inside {"state_dict": ...} or a list, as published checkpoints have it."""
    for _ in range(DEEPEST):
        if isinstance(loaded, Mapping) and all(isinstance(v, Tensor) for v in loaded.values()):
            return {str(name): tensor for name, tensor in loaded.items()}
        inner = [loaded[k] for k in WRAPPERS if k in loaded] if isinstance(loaded, Mapping) else []
        if isinstance(loaded, list | tuple):
            inner = list(loaded)
        if not inner:
            break
        loaded = inner[0]
    raise InputError(f"{path}: expected a state dict, found {type(loaded).__name__}")


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))


def _require_plain(path: Path, found: Mapping[str, Tensor]) -> None:
    for name, tensor in found.items():
        usable = tensor.is_floating_point() and tensor.layout == torch.strided
        if not usable or tensor.is_quantized or tensor.device.type != "cpu":
            raise InputError(f"{path}: {name} is no dense tensor of real numbers ({tensor.dtype})")


def _published(
    path: Path, found: Mapping[str, Tensor], net: nn.Sequential, shape: Sequence[int]
) -> dict[str, Tensor]:
    """The state dict behind the variable names of [CAH19]'s published networks, else nothing."""
    dense = [("U", "bU"), ("W", "bW")]
    layers = ("conv1", "conv2", "fc1", "fc2")
    convolutional = [(f"weights_{layer}", f"biases_{layer}") for layer in layers]
    names = next((n for n in (dense, convolutional) if {w for w, _ in n} <= set(found)), [])
    state: dict[str, Tensor] = {}
    channels = shape[0]  # of what is flattened next
    for (index, layer), (weight_name, bias_name) in zip(_affine(net), names, strict=False):
        if bias_name not in found:
            raise InputError(f"{path}: {weight_name} is there, {bias_name} is missing")
        weight = found[weight_name]
        if isinstance(layer, nn.Conv2d) and weight.ndim == 4:
            weight, channels = weight.permute(3, 2, 0, 1), layer.out_channels
        elif isinstance(layer, nn.Linear) and weight.ndim == 2:
            weight, channels = _channels_first(weight.T, channels), 1
        else:
            raise InputError(
                f"{path}: {weight_name} of shape {tuple(weight.shape)} does not fit the "
                f"{type(layer).__name__} layer {index}"
            )
        bias = found[bias_name].flatten()
        state |= {f"{index}.weight": weight.contiguous(), f"{index}.bias": bias}
    return state


def _renamed(
    path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """`found` under the expected names: the k-th weight is the k-th weight, biases likewise."""
    renamed: dict[str, Tensor] = {}
    for part in ("weight", "bias"):
        theirs = sorted((name for name in found if part in name.lower()), key=_natural)
        ours = [name for name in expected if name.endswith(part)]
        if len(theirs) != len(ours):
            raise InputError(
                f"{path}: expected {len(ours)} tensors called ...{part} ({', '.join(ours)}), "
                f"found {', '.join(found)}"
            )
        renamed |= {name: found[other] for name, other in zip(ours, theirs, strict=True)}
    return renamed


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key under which layer 10 comes after layer 2."""
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", name)]


def _affine(net: nn.Sequential) -> list[tuple[int, nn.Module]]:
    return [(i, layer) for i, layer in enumerate(net) if isinstance(layer, nn.Linear | nn.Conv2d)]


def _channels_first(weight: Tensor, channels: int) -> Tensor:
    """Reorders the columns of a dense layer from height x width x channels to channels first."""
    if weight.shape[1] % channels:
        return weight  # reported as a wrong shape by the caller
    return weight.view(len(weight), -1, channels).transpose(1, 2).reshape(len(weight), -1)


def _shapes(state: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in state.items())
