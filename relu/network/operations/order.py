"""Where the entries of a value stand: moved at no cost, and put in their usual places where needed.

The usual order is torch's own, but for images, whose channels come last.
"""

import math
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from relu.network.builder import LayerBuilder
from relu.network.layers import Shape
from relu.network.value import Value


def usual_order(shape: Shape) -> Int[Tensor, " size"]:
    """The entry that torch's entry j is, in the usual order."""
    numbers = torch.arange(math.prod(shape))
    if len(shape) != 3:
        return numbers
    channels, height, width = shape
    return numbers.view(height, width, channels).permute(2, 0, 1).flatten()


def order_of(value: Value) -> Int[Tensor, " size"]:
    """The entry that torch's entry j is."""
    return usual_order(value.shape) if value.order is None else value.order.cpu()


def places_of(value: Value) -> Int[Tensor, "*shape"]:
    """The numbers of torch's entries, at their places: what a view of the value is tried on."""
    return torch.arange(value.size).view(value.shape)


def moved(value: Value, numbers: Int[Tensor, "*shape"]) -> Value:
    """The value's entries at other places, each by its number in `places_of`."""
    shape = tuple(numbers.shape)
    order = order_of(value)[numbers.flatten()]
    usual = torch.equal(order, usual_order(shape))
    return replace(value, shape=shape, order=None if usual else order)


def settled(builder: LayerBuilder, value: Value) -> Value:
    """The value with its entries in the usual order."""
    if value.order is None:
        return value
    usual = usual_order(value.shape)
    device = builder.like.device
    alone = value.alone
    if alone is None or alone[1] is not None:
        places = torch.empty_like(usual).index_copy(0, value.order.cpu(), usual).to(device)
        terms = tuple((source, affine, places[target]) for source, affine, target in value.terms)
        return replace(value, terms=terms, order=None)
    entries = torch.empty_like(usual).index_copy(0, usual, value.order.cpu()).to(device)
    source = alone[0]
    chosen = entries + source.start if isinstance(source, slice) else source[entries]
    return replace(value, terms=((chosen, None, slice(0, value.size)),), order=None)
