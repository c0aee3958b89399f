"""The data sets the bench knows: shapes, default threats, and the libraries that read them."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from relu.threat import Norm

Arrays = dict[str, np.ndarray]


def _read_digits(_folder: Path, _download: bool) -> Arrays:
    """scikit-learn's digits (1797 images of 8x8, 17 grey levels); every fourth of a class tests."""
    from sklearn.datasets import load_digits  # slow to import, needed here only

    images, labels = load_digits(return_X_y=True)
    rank = np.empty(len(labels), dtype=int)
    for label in range(10):
        rank[labels == label] = np.arange((labels == label).sum())
    test = rank % 4 == 3
    x = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return dict(x_train=x[~test], y_train=labels[~test], x_test=x[test], y_test=labels[test])


def _read_tensors(kind: str) -> Callable[[Path, bool], Arrays]:
    def read(folder: Path, download: bool) -> Arrays:
        source = getattr(torchvision_datasets(), kind)
        parts = [source(str(folder), train=train, download=download) for train in (True, False)]
        images = [np.asarray(part.data) for part in parts]
        labels = [np.asarray(part.targets) for part in parts]
        return dict(x_train=images[0], y_train=labels[0], x_test=images[1], y_test=labels[1])

    return read


def _read_gtsrb(folder: Path, download: bool) -> Arrays:
    """GTSRB's images, resized to 32x32 (bilinear, uncropped)."""
    arrays: Arrays = {}
    for part in ("train", "test"):
        pairs = list(torchvision_datasets().GTSRB(str(folder), split=part, download=download))
        small = [np.asarray(image.resize((32, 32), resample=2)) for image, _ in pairs]
        arrays[f"x_{part}"] = np.stack(small)
        arrays[f"y_{part}"] = np.asarray([label for _, label in pairs])
    return arrays


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is known of a data set before it is read, and how it is read through its library.

    shape: one image's. arch, eps: what is used where the command says nothing. read(folder,
    download) gives raw arrays; looked_for: what `read` needs inside the folder ("": nothing).
    file: the npz file that it is, and the only place where it is looked for. augment: whether
    training crops and mirrors.
    """

    summary: str
    shape: tuple[int, int, int]
    classes: int
    arch: str
    eps: Mapping[Norm, float]
    read: Callable[[Path, bool], Arrays]
    looked_for: str = ""
    file: Path | None = None
    aliases: tuple[str, ...] = ()
    augment: bool = False


# eps: [CAH19, Section 5] for linf and l2, [CH20, Table 1] for l1; digits as MNIST.
_MNIST_EPS: Mapping[Norm, float] = {"linf": 0.1, "l2": 0.3, "l1": 1.0}
SOURCES: Mapping[str, Source] = {
    "digits": Source(
        summary="scikit-learn's handwritten digits, 8x8; comes with the installation",
        shape=(1, 8, 8),
        classes=10,
        arch="fc_small",
        eps=_MNIST_EPS,
        read=_read_digits,
    ),
    "mnist": Source(
        summary="handwritten digits, 28x28",
        shape=(1, 28, 28),
        classes=10,
        arch="fc1",
        eps=_MNIST_EPS,
        read=_read_tensors("MNIST"),
        looked_for="MNIST/raw/train-images-idx3-ubyte",
    ),
    "fashion_mnist": Source(
        summary="Zalando's clothes, 28x28",
        aliases=("fmnist", "f-mnist"),
        shape=(1, 28, 28),
        classes=10,
        arch="fc1",
        eps=_MNIST_EPS,
        read=_read_tensors("FashionMNIST"),
        looked_for="FashionMNIST/raw/train-images-idx3-ubyte",
    ),
    "gts": Source(
        summary="German traffic signs (GTSRB), 32x32 RGB",
        aliases=("gtsrb",),
        shape=(3, 32, 32),
        classes=43,
        arch="fc1",
        eps={"linf": 4 / 255, "l2": 0.2, "l1": 3.0},
        read=_read_gtsrb,
        looked_for="gtsrb/GTSRB/Training",
    ),
    "cifar10": Source(
        summary="tiny photographs, 32x32 RGB; cropped and mirrored in training",
        aliases=("cifar",),
        shape=(3, 32, 32),
        classes=10,
        arch="cnn",
        eps={"linf": 2 / 255, "l2": 0.1, "l1": 2.0},
        read=_read_tensors("CIFAR10"),
        augment=True,
        looked_for="cifar-10-batches-py",
    ),
}


HEAD = 512  # bytes of a file's beginning that tell


def placeholder(head: bytes) -> str | None:
    """What a file that begins so is in place of what its name says, and what helps; else None."""
    start = head.lstrip().lower()
    if not head:
        return "is empty: copy or download it again"
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself: fetch that with git lfs pull"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page, not the file itself: download that again"
    return None


# torchvision's registry wheel is linked against CUDA. Beside a CPU build of torch its compiled
# operators do not load, and its import then fails because it annotates two operators that do not
# exist. Declaring their schemas is enough: the data sets never call them.
_SCHEMAS = {
    "torchvision::nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "torchvision::qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def torchvision_datasets() -> ModuleType:
    """The module torchvision.datasets."""
    try:
        return importlib.import_module("torchvision.datasets")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    for name, schema in _SCHEMAS.items():
        torch.library.define(name, schema)
    return importlib.import_module("torchvision.datasets")
