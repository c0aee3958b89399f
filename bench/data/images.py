"""Arrays that shall be images and labels, checked."""

import numpy as np
import torch
from torch import Tensor

from relu.errors import InputError


def labels_of(labels: np.ndarray, classes: int, images: str, where: str) -> Tensor:
    """Labels as int64. images: what they are of, as "6 test images". Raises InputError."""
    y = np.asarray(labels)
    if y.ndim != 1 or len(y) != int(images.split()[0]):
        raise InputError(f"{where}: {images} but labels of shape {y.shape}")
    expected = f"labels must be integers from 0 to {classes - 1}"
    if not np.issubdtype(y.dtype, np.integer):
        raise InputError(f"{where}: {expected}, got {y.dtype}")
    if y.min() < 0 or y.max() >= classes:
        raise InputError(f"{where}: {expected}, got {y.dtype} from {y.min()} to {y.max()}")
    return torch.from_numpy(y.astype(np.int64))


def images_of(images: np.ndarray, shape: tuple[int, int, int], where: str) -> Tensor:
    """Images of this shape as float32 in [0, 1], channels first. Raises InputError."""
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
