"""The activation of a layer's units: z where z > 0, leak z elsewhere (relu/network/layers.py)."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from relu.network.layers import Layer


def activated(layer: Layer, z: Float[Tensor, "*n size"]) -> Float[Tensor, "*n size"]:
    """What the units give at pre-activations z."""
    return z.clamp_min(0) if layer.leak is None else torch.where(z > 0, z, layer.leak * z)


def slopes(layer: Layer, active: Bool[Tensor, "n size"], like: Tensor) -> Float[Tensor, "n size"]:
    """The slope of each unit where it is active or not, in the precision of `like`."""
    on = active.to(like.dtype)
    return on if layer.leak is None else torch.where(active, on, layer.leak)


def switching(layer: Layer) -> Bool[Tensor, " size"] | None:
    """Which units have a kink at 0; None: all."""
    return None if layer.leak is None else layer.leak != 1


def switching_units(layers: Sequence[Layer]) -> Bool[Tensor, " units"] | None:
    """`switching` of the units of all layers in one; None: all of them."""
    if all(layer.leak is None for layer in layers):
        return None
    parts = []
    for layer in layers:
        kinked = switching(layer)
        everything = torch.ones(layer.size, dtype=torch.bool, device=layer.like.device)
        parts.append(everything if kinked is None else kinked)
    return torch.cat(parts)


def logits_of(layers: Sequence[Layer], vectors: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
    """What a network gives, layer by layer."""
    for layer in layers[:-1]:
        vectors = activated(layer, layer.forward(vectors))
    return layers[-1].forward(vectors)


def crossing(
    low: Float[Tensor, "*n size"],
    high: Float[Tensor, "*n size"],
    leak: Float[Tensor, " size"] | None = None,
) -> Bool[Tensor, "*n size"]:
    """Which units may switch. A bound that is NaN decides nothing; with leak 1, none does."""
    undecided = ~((low >= 0) | (high <= 0))
    return undecided if leak is None else undecided & (leak != 1)
