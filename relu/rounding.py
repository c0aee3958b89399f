"""How far sums of products in float64 can be from exact ones, for a whole network at once."""

from collections.abc import Sequence

from relu.layers import Layer

UNDERFLOW = 2.0**-960
"""what sums of up to 2^40 products may lose as each of them underflows (2^-1022), with room"""


def gamma(layers: Sequence[Layer], d: int) -> float:
    """The relative error of anything computed through these layers from d inputs, or back.

    It is relative to the same computation with the absolute values of all its terms: the standard
    forward error bound of sums of products, 8 u times the number of terms of each layer's longest
    sums, u = 2^-53. The 8 leaves room for the few other operations on the way. Numbers so small
    that they underflow lose up to UNDERFLOW beside it, wherever a sum is formed.
    """
    return 8 * (d + sum(_terms(layer) for layer in layers)) * 2.0**-53


def _terms(layer: Layer) -> int:
    """The longest sum that a layer or its transpose forms, or that runs over its units."""
    weight = layer.weight
    return max(weight[0].numel(), weight[:, 0].numel(), layer.size) + 2
