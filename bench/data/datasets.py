"""Data sets as tensors in [0, 1], in their original order."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bench.data.images import images_of, labels_of
from bench.data.npz import NPZ, PARTS, expected_data, placeholder_in, read_npz
from bench.data.sources import SOURCES, Arrays, Source
from relu.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class DataSet:
    """Images (n, channels, height, width) in [0, 1] as float32, labels 0..classes-1 as int64."""

    name: str
    classes: int
    x_train: Float[Tensor, "n c h w"]
    y_train: Int[Tensor, " n"]
    x_test: Float[Tensor, "m c h w"]
    y_test: Int[Tensor, " m"]
    _fingerprints: dict[str, str] = field(default_factory=dict, repr=False, init=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return tuple(self.x_test.shape[1:])

    def fingerprint(self, part: str) -> str:
        """A digest of the "train" or "test" part, so that results name the data they are about."""
        if part not in self._fingerprints:
            self._fingerprints[part] = self._digest(part)
        return self._fingerprints[part]

    def _digest(self, part: str) -> str:
        digest = hashlib.sha256()
        for tensor in (getattr(self, f"x_{part}"), getattr(self, f"y_{part}")):
            digest.update(str(tuple(tensor.shape)).encode())
            digest.update(memoryview(tensor.contiguous().numpy()).cast("B"))
        return digest.hexdigest()[:16]


def load(name: str, folder: Path | None = None, sources: Mapping[str, Source] = SOURCES) -> DataSet:
    """The data set, from `folder` (npz or torchvision's layout), else the cache, else a download.

    A data set that is a file is read from there alone. Raises InputError where it is nowhere, or
    where its contents are not what they should be.
    """
    source = sources[name]
    if source.file is not None:
        return _check(name, source, source.read(source.file, False), f"{source.file}:")
    folder = None if folder is not None and folder.suffix == NPZ else folder
    if folder is not None and not folder.is_dir():
        raise InputError(expected_data(folder))
    for place in (folder, _cache()):
        if place is not None and (file := place / f"{name}{NPZ}").is_file():
            if not source.looked_for:
                raise InputError(
                    f"{file} would take the place of the {name} that come with the installation: "
                    f"remove or rename it"
                )
            return _check(name, source, read_npz(file), f"{file}:")
        if source.looked_for and place is not None and (place / source.looked_for).exists():
            arrays = _read_layout(name, source, place)
            return _check(name, source, arrays, f"{place / source.looked_for}:")
    if source.looked_for:
        return _check(name, source, _download(name, source, folder), f"{name}:")
    return _check(name, source, source.read(folder or Path(), False), f"{name}:")


def _read_layout(name: str, source: Source, place: Path) -> Arrays:
    """The files of torchvision's layout. Raises InputError that names what is wrong with them."""
    looked_for = Path(source.looked_for)
    try:
        return source.read(place, False)
    except Exception as error:  # each reader fails in its own way on damaged files
        root = place / looked_for.parts[0]
        for file in sorted(root.rglob("*")):
            if file.is_file() and (what := placeholder_in(file)) is not None:
                raise InputError(f"{file} {what}") from error
        reason = f"is damaged ({str(error).partition(chr(10))[0]})"
        if "download=True" in reason:  # advice of torchvision, which nobody can follow here
            reason = "is missing or damaged"
        raise InputError(
            f"{place / looked_for} cannot be read: a file of {name} {reason}"
        ) from error


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "relu-bench"


def _download(name: str, source: Source, folder: Path | None) -> Arrays:
    """Fetches into a draft folder inside the cache, whose contents move up once complete."""
    cache = _cache()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as draft:
            arrays = source.read(Path(draft), True)
            for entry in Path(draft).iterdir():
                entry.replace(cache / entry.name)
        return arrays
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            cache.rmdir()  # leave no empty folder behind
        reason = str(error).splitlines()[-1] if str(error) else type(error).__name__
        first = folder or cache
        raise InputError(
            f"data set {name} not found: looked for {name}.npz and {source.looked_for} in {first}"
            f"{f' and {cache}' if folder else ''}, and the download failed ({reason}); "
            f"name a folder that holds it with --data DIR or BENCH_DATA"
        ) from error


def _check(name: str, source: Source, arrays: Arrays, where: str) -> DataSet:
    """The arrays as a data set. Raises InputError, which begins with `where`."""
    if missing := [part for part in PARTS if part not in arrays]:
        raise InputError(f"{where} expected {', '.join(PARTS)}, {missing[0]} is missing")
    tensors = {"x_train": torch.zeros(0, *source.shape), "y_train": torch.zeros(0).long()}
    only_tests = source.file is not None and not len(arrays["x_train"])
    for part in ("test",) if only_tests else ("train", "test"):
        x = images_of(arrays[f"x_{part}"], source.shape, f"{where} x_{part}")
        y = arrays[f"y_{part}"]
        count = f"{len(x)} {part} images"
        tensors[f"x_{part}"] = x
        tensors[f"y_{part}"] = labels_of(y, source.classes, count, f"{where} y_{part}")
    return DataSet(name=name, classes=source.classes, **tensors)


def augment(
    x: Float[Tensor, "n c h w"], *, pad: int = 2, mirror: bool = True
) -> Float[Tensor, "n c h w"]:
    """Random crops of the zero-padded images and random mirroring [CAH19, Appendix B].

    One draw per image, from torch's global generator; one gather for the whole batch.
    """
    n, _, height, width = x.shape
    padded = torch.nn.functional.pad(x, [pad] * 4)
    offset = torch.randint(2 * pad + 1, (2, n, 1), device=x.device)
    rows = offset[0] + torch.arange(height, device=x.device)
    columns = offset[1] + torch.arange(width, device=x.device)
    if mirror:
        mirrored = torch.rand(n, 1, device=x.device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    index = torch.arange(n, device=x.device)
    picked = padded[index[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)
