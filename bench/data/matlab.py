"""MATLAB's layouts of weights, and those of the networks that [CAH19] published."""

from collections.abc import Mapping

from torch import Tensor, nn

from relu.errors import InputError
from relu.network.architecture import Architecture


def from_matlab(
    variables: Mapping[str, Tensor], arch: Architecture, shape: tuple[int, ...], classes: int
) -> dict[str, Tensor]:
    """The variables as PyTorch would lay them out.

    Under [CAH19]'s names dense weights are transposed, and images are height x width x channels.
    Otherwise only biases change: MATLAB has no vectors, so that theirs come as (1, n) or (n, 1).
    (No architecture has a weight with a side of 1.) Raises InputError.
    """
    published = _published(variables, arch.skeleton(shape, classes), shape[0])
    return published or {name: _vector(tensor) for name, tensor in variables.items()}


def _vector(tensor: Tensor) -> Tensor:
    return tensor.flatten() if tensor.ndim == 2 and 1 in tensor.shape else tensor


def _published(variables: Mapping[str, Tensor], net: nn.Module, channels: int) -> dict[str, Tensor]:
    """The state dict behind the variable names of [CAH19]'s published networks, else nothing.

    channels: those of what is flattened next.
    """
    dense = [("U", "bU"), ("W", "bW")]
    layers = ("conv1", "conv2", "fc1", "fc2")
    convolutional = [(f"weights_{layer}", f"biases_{layer}") for layer in layers]
    names = next((n for n in (dense, convolutional) if {w for w, _ in n} <= set(variables)), [])
    state: dict[str, Tensor] = {}
    for (index, layer), (weight_name, bias_name) in zip(_affine(net), names, strict=False):
        if bias_name not in variables:
            raise InputError(f"{weight_name} is there, {bias_name} is missing")
        weight = variables[weight_name]
        if isinstance(layer, nn.Conv2d) and weight.ndim == 4:
            weight = weight.permute(3, 2, 0, 1)
            channels = layer.out_channels
        elif isinstance(layer, nn.Linear) and weight.ndim == 2:
            weight = _channels_first(weight.T, channels)
            channels = 1
        else:
            raise InputError(
                f"{weight_name} of shape {tuple(weight.shape)} does not fit the "
                f"{type(layer).__name__} layer {index}"
            )
        state[f"{index}.weight"] = weight.contiguous()
        state[f"{index}.bias"] = variables[bias_name].flatten()
    known = [name for pair in names for name in pair]
    more = [name for name, tensor in variables.items() if tensor.numel() > 1 and name not in known]
    if state and more:
        raise InputError(f"expected {', '.join(known)}, found {more[0]} too")
    return state


def _affine(net: nn.Module) -> list[tuple[str, nn.Module]]:
    affine = (nn.Linear, nn.Conv2d)
    return [(name, layer) for name, layer in net.named_modules() if isinstance(layer, affine)]


def _channels_first(weight: Tensor, channels: int) -> Tensor:
    """Reorders the columns of a dense layer from height x width x channels to channels first."""
    if weight.shape[1] % channels:
        return weight  # reported as a wrong shape by the caller
    return weight.view(len(weight), -1, channels).transpose(1, 2).reshape(len(weight), -1)
