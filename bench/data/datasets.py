"""Data sets as tensors in [0, 1], in their original order."""

import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bench.data.sources import HEAD, SOURCES, Arrays, placeholder
from relu.errors import InputError

PARTS = ("x_train", "y_train", "x_test", "y_test")


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


def load(name: str, folder: Path | None = None) -> DataSet:
    """The data set, from `folder` (npz or torchvision's layout), else the cache, else a download.

    Raises InputError where it is nowhere, or where its contents are not what they should be.
    """
    source = SOURCES[name]
    if folder is not None and not folder.is_dir():
        raise InputError(f"--data must name a folder, got {str(folder)!r}")
    for place in (folder, _cache()):
        if place is not None and (file := place / f"{name}.npz").is_file():
            if not source.looked_for:
                raise InputError(
                    f"{file} would take the place of the {name} that come with the installation: "
                    f"remove or rename it"
                )
            return _check(name, _read_npz(file), f"{file}:")
        if source.looked_for and place is not None and (place / source.looked_for).exists():
            return _check(name, _read_layout(name, place), f"{place / source.looked_for}:")
    arrays = _download(name, folder) if source.looked_for else source.read(Path(), False)
    return _check(name, arrays, f"{name}:")


def _read_layout(name: str, place: Path) -> Arrays:
    """The files of torchvision's layout. Raises InputError that names what is wrong with them."""
    looked_for = Path(SOURCES[name].looked_for)
    try:
        return SOURCES[name].read(place, False)
    except Exception as error:  # each reader fails in its own way on damaged files
        root = place / looked_for.parts[0]
        for file in sorted(root.rglob("*")):
            if file.is_file() and (what := _placeholder(file)) is not None:
                raise InputError(f"{file} {what}") from error
        reason = f"is damaged ({str(error).partition(chr(10))[0]})"
        if "download=True" in reason:  # advice of torchvision, which nobody can follow here
            reason = "is missing or damaged"
        raise InputError(
            f"{place / looked_for} cannot be read: a file of {name} {reason}"
        ) from error


def _placeholder(file: Path) -> str | None:
    with file.open("rb") as opened:
        return placeholder(opened.read(HEAD))


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "relu-bench"


def _download(name: str, folder: Path | None) -> Arrays:
    """Fetches into a draft folder inside the cache, whose contents move up once complete."""
    source = SOURCES[name]
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


def _read_npz(path: Path) -> Arrays:
    try:
        if (what := _placeholder(path)) is not None:
            raise InputError(f"{path} {what}")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [part for part in PARTS if part not in archive]
            if missing:
                raise InputError(f"{path}: expected {', '.join(PARTS)}, {missing[0]} is missing")
            return {part: archive[part] for part in PARTS}
    except InputError:
        raise
    except (OSError, ValueError, EOFError, AttributeError) as error:
        reason = str(error)
        if "Object arrays" in reason:
            reason = "an array in it holds Python objects, which are never opened: save numbers"
        raise InputError(f"{path} is not a readable npz file: {reason}") from error
    except Exception as error:  # zipfile and zlib raise errors of their own for damaged archives
        raise InputError(f"{path} is damaged: {error}") from error


def _check(name: str, arrays: Arrays, where: str) -> DataSet:
    """The arrays as a data set. Raises InputError, which begins with `where`."""
    tensors = {}
    for part in ("train", "test"):
        x = _images(name, arrays[f"x_{part}"], f"{where} x_{part}")
        y = arrays[f"y_{part}"]
        tensors[f"x_{part}"] = x
        tensors[f"y_{part}"] = _labels(name, y, f"{len(x)} {part} images", f"{where} y_{part}")
    return DataSet(name=name, classes=SOURCES[name].classes, **tensors)


def _labels(name: str, labels: np.ndarray, images: str, where: str) -> Tensor:
    """images: what the labels are of, as "6 test images"."""
    y = np.asarray(labels)
    classes = SOURCES[name].classes
    if y.ndim != 1 or len(y) != int(images.split()[0]):
        raise InputError(f"{where}: {images} but labels of shape {y.shape}")
    expected = f"labels must be integers from 0 to {classes - 1}"
    if not np.issubdtype(y.dtype, np.integer):
        raise InputError(f"{where}: {expected}, got {y.dtype}")
    if y.min() < 0 or y.max() >= classes:
        raise InputError(f"{where}: {expected}, got {y.dtype} from {y.min()} to {y.max()}")
    return torch.from_numpy(y.astype(np.int64))


def _images(name: str, images: np.ndarray, where: str) -> Tensor:
    shape = SOURCES[name].shape
    channels, height, width = shape
    if images.shape[1:] == (height, width, channels):
        images = images.transpose(0, 3, 1, 2)
    elif images.shape[1:] == (height, width) and channels == 1:
        images = images[:, None]
    if images.shape[1:] != shape:
        raise InputError(f"{where}: expected images of shape {shape}, got {images.shape[1:]}")
    if not len(images):
        raise InputError(f"{where}: there are no images in it")
    _require_pixels(images, where)
    x = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32))
    return x.div_(255) if images.dtype == np.uint8 else x


def _require_pixels(images: np.ndarray, where: str) -> None:
    """Refuses what is neither uint8 of 0 to 255 nor floats of 0 to 1, and what pretends to be."""
    expected = "pixels must be uint8 or floats in [0, 1]"
    whole = images.dtype == np.uint8
    if not whole and not np.issubdtype(images.dtype, np.floating):
        hint = f": save them with astype({'float' if images.dtype == bool else 'uint8'!r})"
        hint = hint if images.dtype.kind in "iub" else ""
        raise InputError(f"{where}: {expected}, got {images.dtype}{hint}")
    least = images.min()
    most = images.max()
    if not whole and not np.isfinite([least, most]).all():  # NaN goes through min and max
        count = (~np.isfinite(images)).sum()
        raise InputError(f"{where}: {expected}, got {count} that are NaN or infinite")
    if not whole and not (least >= 0 and most <= 1):
        hint = ": divide by 255, or save as uint8" if least >= 0 and 1.5 < most <= 255 else ""
        raise InputError(f"{where}: {expected}, got values from {least:g} to {most:g}{hint}")
    if whole and most == 1:
        raise InputError(
            f"{where}: uint8 pixels go from 0 to 255, the largest here is 1: "
            f"multiply by 255, or save images that are scaled to [0, 1] as floats"
        )
    if not whole and 0 < most <= 1 / 255:
        raise InputError(
            f"{where}: floats go from 0 to 1, the largest here is {most:g}: divided by 255 twice?"
        )


def augment(x: Float[Tensor, "n c h w"], *, pad: int = 2) -> Float[Tensor, "n c h w"]:
    """Random crops of the zero-padded images and random mirroring [CAH19, Appendix B].

    One draw per image, from torch's global generator; one gather for the whole batch.
    """
    n, _, height, width = x.shape
    padded = torch.nn.functional.pad(x, [pad] * 4)
    offset = torch.randint(2 * pad + 1, (2, n, 1), device=x.device)
    rows = offset[0] + torch.arange(height, device=x.device)
    columns = offset[1] + torch.arange(width, device=x.device)
    mirrored = torch.rand(n, 1, device=x.device) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    index = torch.arange(n, device=x.device)
    picked = padded[index[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)
