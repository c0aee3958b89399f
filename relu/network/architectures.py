"""The networks of the bench: FC1, FC10, CNN [CAH19, Appendix B], for any shape, and small ones."""

import functools
import math
from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
from torch import nn

from relu.errors import InputError
from relu.network.layers import Shape


def _dense(*hidden: int) -> Callable[[Shape, int], nn.Sequential]:
    def build(shape: Shape, classes: int) -> nn.Sequential:
        widths = [math.prod(shape), *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], classes))

    return build


def _convolutional(channels: tuple[int, int], dense: int) -> Callable[[Shape, int], nn.Sequential]:
    def build(shape: Shape, classes: int) -> nn.Sequential:
        if len(shape) != 3 or min(shape[1:]) < 4:
            raise InputError(
                f"cnn needs images of channels x height x width, at least 4 x 4, got {shape}"
            )
        first, second = channels
        height, width = (side // 2 // 2 for side in shape[1:])
        return nn.Sequential(
            nn.Conv2d(shape[0], first, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(second * height * width, dense),
            nn.ReLU(),
            nn.Linear(dense, classes),
        )

    return build


ARCHITECTURES: Mapping[str, tuple[str, Callable[[Shape, int], nn.Sequential]]] = {
    "fc1": ("one hidden layer of 1024 units", _dense(1024)),
    "fc10": ("ten hidden layers: 124, 7 x 104, 86, 86", _dense(124, *[104] * 7, 86, 86)),
    "cnn": ("conv 16 and 32 (4x4, stride 2), dense 100", _convolutional((16, 32), 100)),
    "fc_small": ("two hidden layers of 32 units", _dense(32, 32)),
    "cnn_small": ("conv 4 and 8 (4x4, stride 2), dense 32", _convolutional((4, 8), 32)),
}


@functools.cache
def skeleton(arch: str, shape: Shape, classes: int) -> nn.Sequential:
    """The network without weights (on torch's meta device): what is known before training.

    Raises InputError where arch cannot take inputs of `shape`.
    """
    with torch.device("meta"):
        return ARCHITECTURES[arch][1](shape, classes)


def build(arch: str, shape: Shape, classes: int, *, seed: int = 0) -> nn.Sequential:
    """A freshly initialised network: He-normal weights (fan in), zero biases [HZRS15, eq. 10].

    `shape` is one input's shape, e.g. (1, 28, 28). Raises InputError where arch cannot take it.
    """
    net = ARCHITECTURES[arch][1](shape, classes)
    generator = torch.Generator().manual_seed(seed)
    for i, layer in enumerate(net):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.constant_(net.get_parameter(f"{i}.bias"), 0.0)
    return net
