"""How far bounds that auto_LiRPA computes may be off for rounding's sake, over a whole ball.

The library bounds every layer by linear forms of those below. With s a bound of all that such
forms add up to for a layer (absolute values of all terms, over the ball), a ReLU's lines, with
slopes of at most 1 and offsets of at most s, give at most 2 s, and the next layer |W| 2 s + |b|.
What is summed up in this way is off by at most UNITS u times the number of terms on the way.
"""

import copy
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

UNITS = 16  # twice the usual bound, for other orders of the same products


class UnknownRounding(ValueError):
    """A network whose operations are not one after the other: what they add up to is unknown."""


@torch.no_grad()
def rounding_errors(
    exact_net: nn.Module, x: Float[Tensor, "n *shape"], *, eps: float, dtype: torch.dtype
) -> Float[Tensor, " n"]:
    """How far margins over balls of radius eps (in any norm) may be off when computed in `dtype`.

    Raises UnknownRounding where the network is no Sequential of layers.
    """
    size = x.double().abs() + eps
    terms = x[0].numel()
    layers = 1
    for leaf in _leaves(exact_net):
        if isinstance(leaf, nn.Linear | nn.Conv2d):
            size = _absolute(leaf)(2 * size)
            terms += max(leaf.weight[0].numel(), leaf.weight[:, 0].numel(), size[0].numel()) + 2
            layers += 1
        else:
            size = _given_by(leaf, size)
    unit = UNITS * layers * terms * torch.finfo(dtype).eps / 2
    return 2 * unit * size.flatten(1).amax(1) + torch.finfo(dtype).tiny


def _given_by(leaf: nn.Module, size: Tensor) -> Tensor:
    """What a layer without weights gives of values up to `size`."""
    if isinstance(leaf, nn.ReLU | nn.Identity):
        return size
    if isinstance(leaf, nn.Flatten):
        return size.flatten(1)
    if isinstance(leaf, nn.BatchNorm1d | nn.BatchNorm2d):
        return _normalised(leaf, size)
    ends: Tensor = leaf(size).abs() + leaf(-size).abs()
    return ends + size if ends.shape == size.shape else ends  # and lines around it


def _normalised(leaf: nn.BatchNorm1d | nn.BatchNorm2d, size: Tensor) -> Tensor:
    """|scale| (2 size + |mean|) + |bias|: terms that may cancel, and that the library folds."""
    if leaf.running_mean is None or leaf.running_var is None:
        raise UnknownRounding("batch norm without statistics")
    wide = [-1, *[1] * (size.ndim - 2)]
    scale = (leaf.running_var + leaf.eps).rsqrt()
    scale = scale if leaf.weight is None else scale * leaf.weight.abs()
    bias = torch.zeros_like(scale) if leaf.bias is None else leaf.bias.abs()
    mean = leaf.running_mean.abs()
    return scale.view(wide) * (2 * size + mean.view(wide)) + bias.view(wide)


def _absolute(leaf: nn.Linear | nn.Conv2d) -> nn.Module:
    twin = copy.deepcopy(leaf)
    for parameter in twin.parameters():
        parameter.data.abs_()
    return twin


def _leaves(net: nn.Module) -> Iterator[nn.Module]:
    if isinstance(net, nn.Sequential):
        for child in net:
            yield from _leaves(child)
    elif list(net.children()) or type(net).__module__.partition(".")[0] != "torch":
        raise UnknownRounding(f"the rounding of {type(net).__name__} is not known")
    else:
        yield net
