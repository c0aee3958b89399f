"""The networks of the bench, for any shape.

FC1, FC10, CNN [CAH19, Appendix B], small ones, and others that are no chains.
"""

import functools
import math
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from torch import nn

from relu.errors import InputError
from relu.network.architecture import Architecture
from relu.network.layers import Shape


class Residual(nn.Module):
    """relu(body(x) + shortcut(x)) [HZRS16]."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.relu = nn.ReLU()

    def forward(self, x: Any) -> Any:
        """Of images, or of the symbol that stands for them where the network is traced."""
        return self.relu(self.body(x) + self.shortcut(x))


def _basic_block(channels: int, out: int, stride: int) -> Residual:
    """Two convolutions of 3 x 3; a convolution of 1 x 1 beside them where the shape changes."""
    body = nn.Sequential(
        nn.Conv2d(channels, out, 3, stride=stride, padding=1),
        nn.ReLU(),
        nn.Conv2d(out, out, 3, padding=1),
    )
    if stride == 1 and channels == out:
        return Residual(body, nn.Identity())
    return Residual(body, nn.Conv2d(channels, out, 1, stride=stride))


def _dense(*hidden: int) -> Callable[[Shape, int], nn.Sequential]:
    def build(shape: Shape, classes: int) -> nn.Sequential:
        widths = [math.prod(shape), *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], classes))

    return build


def _convolutional(
    channels: tuple[int, int], dense: int, activation: Callable[[], nn.Module] = nn.ReLU
) -> Callable[[Shape, int], nn.Sequential]:
    def build(shape: Shape, classes: int) -> nn.Sequential:
        _require_images("cnn", shape, 4)
        first, second = channels
        height, width = (side // 2 // 2 for side in shape[1:])
        return nn.Sequential(
            nn.Conv2d(shape[0], first, 4, stride=2, padding=1),
            activation(),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            activation(),
            nn.Flatten(),
            nn.Linear(second * height * width, dense),
            activation(),
            nn.Linear(dense, classes),
        )

    return build


def _normalised(
    arch: str, *convolutions: tuple[int, int, int, int], dense: tuple[int, ...] = ()
) -> Callable[[Shape, int], nn.Sequential]:
    """Convolutions (channels, kernel, stride, padding), dense layers, batch norm before each ReLU.

    cnn7 is that of [SWZYH21]; cnn5 and cnn3 are smaller.
    """

    def build(shape: Shape, classes: int) -> nn.Sequential:
        _require_images(arch, shape, 4)
        layers: list[nn.Module] = []
        n_in, height, width = shape
        for channels, kernel, stride, padding in convolutions:
            layers += [
                nn.Conv2d(n_in, channels, kernel, stride=stride, padding=padding),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
            n_in = channels
            height, width = ((s + 2 * padding - kernel) // stride + 1 for s in (height, width))
        layers.append(nn.Flatten())
        widths = [n_in * height * width, *dense]
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], classes))

    return build


_CNN5 = ((64, 3, 1, 1), (64, 4, 2, 1), (128, 4, 2, 1))
_CNN7 = ((64, 3, 1, 1), (64, 3, 1, 1), (128, 3, 2, 1), (128, 3, 1, 1), (128, 3, 1, 1))


def _pooled(shape: Shape, classes: int) -> nn.Sequential:
    """Convolutions with max-pooling."""
    _require_images("cnn_pool", shape, 4)
    height, width = (side // 2 // 2 for side in shape[1:])
    return nn.Sequential(
        nn.Conv2d(shape[0], 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * height * width, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def _residual(shape: Shape, classes: int) -> nn.Sequential:
    """The network resnet_2b of VNN-COMP 2021."""
    _require_images("resnet", shape, 4)
    height, width = ((side + 1) // 2 for side in shape[1:])
    height, width = ((side + 1) // 2 for side in (height, width))
    return nn.Sequential(
        nn.Conv2d(shape[0], 8, 3, stride=2, padding=1),
        nn.ReLU(),
        _basic_block(8, 16, 2),
        _basic_block(16, 16, 1),
        nn.Flatten(),
        nn.Linear(16 * height * width, 100),
        nn.ReLU(),
        nn.Linear(100, classes),
    )


def _require_images(arch: str, shape: Shape, least: int) -> None:
    if len(shape) != 3 or min(shape[1:]) < least:
        raise InputError(
            f"{arch} needs images of channels x height x width, at least {least} x {least}, "
            f"got {shape}"
        )


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.1)


DENSE = r"fc:[1-9]\d{0,5}(-[1-9]\d{0,5})*"
"""names of architectures that say their hidden layers' widths"""


def _table(
    **rows: tuple[str, Callable[[Shape, int], nn.Module]],
) -> dict[str, Architecture]:
    return {
        name: Architecture(name=name, summary=summary, make=make)
        for name, (summary, make) in rows.items()
    }


ARCHITECTURES: Mapping[str, Architecture] = _table(
    fc1=("one hidden layer of 1024 units", _dense(1024)),
    fc10=("ten hidden layers: 124, 7 x 104, 86, 86", _dense(124, *[104] * 7, 86, 86)),
    cnn=("conv 16 and 32 (4x4, stride 2), dense 100", _convolutional((16, 32), 100)),
    fc_small=("two hidden layers of 32 units", _dense(32, 32)),
    cnn_small=("conv 4 and 8 (4x4, stride 2), dense 32", _convolutional((4, 8), 32)),
    cnn_leaky=("cnn, its ReLUs leaking 0.1", _convolutional((16, 32), 100, _leaky)),
    cnn_pool=("conv 8 and 16 (3x3), each max-pooled 2x2, dense 64", _pooled),
    cnn3=(
        "conv 64 (5x5) and 128 (4x4), stride 2, batch norm",
        _normalised("cnn3", (64, 5, 2, 2), (128, 4, 2, 1)),
    ),
    cnn5=(
        "conv 64 (3x3), 64 and 128 (4x4, stride 2), dense 512, batch norm",
        _normalised("cnn5", *_CNN5, dense=(512,)),
    ),
    cnn7=(
        "conv 2 x 64, 3 x 128 (3x3, the third with stride 2), dense 512, batch norm",
        _normalised("cnn7", *_CNN7, dense=(512,)),
    ),
    resnet=("conv 8, two residual blocks of 16 channels, dense 100", _residual),
)


@functools.cache
def dense_architecture(name: str) -> Architecture | None:
    """Hidden layers of any widths, "fc:500" or "fc:256-256"; None where the name says none."""
    if not re.fullmatch(DENSE, name):
        return None
    widths = [int(width) for width in name.partition(":")[2].split("-")]
    return Architecture(name=name, summary="hidden layers of these widths", make=_dense(*widths))


def build(arch: str, shape: Shape, classes: int, *, seed: int = 0) -> nn.Sequential:
    """A freshly initialised network of the bench's own architectures (see `Architecture.build`)."""
    net = ARCHITECTURES[arch].build(shape, classes, seed=seed)
    assert isinstance(net, nn.Sequential)
    return net
