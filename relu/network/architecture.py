"""A network without weights: what it is called, and how it is built."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from relu.errors import InputError
from relu.network.layers import Shape


class Normalised(nn.Module):
    """net((x - mean) / std), with numbers for each channel or for all.

    A layer of its own, as it may not be folded into a convolution that is padded with zeros.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, net: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], shape: Shape
    ) -> None:
        super().__init__()
        self.net = net
        for name, numbers in (("mean", mean), ("std", std)):
            if len(numbers) not in (1, shape[0]):
                raise InputError(
                    f"{name} expects a number, or one for each of {shape[0]} channels, "
                    f"got {len(numbers)}"
                )
            channels = torch.tensor(numbers).expand(shape[0])
            self.register_buffer(name, channels.reshape(-1, *[1] * (len(shape) - 1)).clone())

    def forward(self, x: Any) -> Any:
        """Of images, or of the symbol that stands for them where the network is traced."""
        return self.net((x - self.mean) / self.std)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network without weights, for any shape of inputs and any number of classes that it takes.

    make(shape, classes): a network. initialised: whether `make` draws its weights itself, from
    torch's global generator. code: a digest of what is behind `make`, "" for the bench's own. mean,
    std: of each channel of the images that it was trained on, or of all; () where these were pixels
    in [0, 1].
    """

    name: str
    summary: str
    make: Callable[[Shape, int], nn.Module]
    initialised: bool = False
    code: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def normalised(self, mean: tuple[float, ...], std: tuple[float, ...]) -> "Architecture":
        """The same, for networks that were trained on (pixels - mean) / std."""
        return replace(self, mean=mean, std=std)

    def skeleton(self, shape: Shape, classes: int) -> nn.Module:
        """The network on torch's meta device: what is known before training.

        Raises InputError where the architecture cannot take inputs of `shape`.
        """
        return _skeleton(self, tuple(shape), classes)

    def build(self, shape: Shape, classes: int, *, seed: int = 0) -> nn.Module:
        """A freshly initialised network: He-normal weights (fan in), zero biases [HZRS15, eq. 10].

        Batch norm starts with weight 1, bias 0, mean 0, variance 1. An architecture that is
        `initialised` has the weights that it draws itself, from this seed. Raises InputError where
        it cannot take inputs of `shape`.
        """
        shape = tuple(shape)
        if self.initialised:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                return self._made(shape, classes)
        net = self._made(shape, classes)
        _initialise(net, torch.Generator().manual_seed(seed))
        return net

    def _made(self, shape: Shape, classes: int) -> nn.Module:
        try:
            net = self.make(shape, classes)
        except InputError:
            raise
        except Exception as error:  # a plugin's own code
            reason = (str(error).splitlines() or [""])[0]
            raise InputError(
                f"architecture {self.name} for inputs of shape {shape} and {classes} classes "
                f"raises {type(error).__name__}: {reason}"
            ) from error
        if not isinstance(net, nn.Module):
            raise InputError(
                f"architecture {self.name}: build expects to return a torch.nn.Module, "
                f"got {type(net).__name__}"
            )
        return Normalised(net, self.mean, self.std, shape) if self.mean else net


@functools.lru_cache(maxsize=64)
def _skeleton(architecture: Architecture, shape: Shape, classes: int) -> nn.Module:
    with torch.device("meta"):
        return architecture._made(shape, classes)


def _initialise(net: nn.Module, generator: torch.Generator) -> None:
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, 0.0)
