"""Radii that images of a data set can be judged at."""

import math

from relu.errors import InputError
from relu.network.layers import Shape
from relu.threat import Threat


def require_inside(threat: Threat, dataset: str, shape: Shape) -> None:
    """Refuses a radius at which the ball of any input holds the whole box."""
    low, high = threat.box
    width = high - low
    eps = float(threat.widest.eps)
    diameter = width * threat.p_norm.diameter(math.prod(shape))
    if eps >= diameter:
        likely = threat.norm == "linf" and eps / 255 < width
        meant = f"; did you mean {eps:g}/255?" if likely else ""
        raise InputError(
            f"{threat.norm} eps {eps:g} reaches across the whole box [{low:g}, {high:g}] of "
            f"{dataset}: expected less than {diameter:g}, as pixels lie in [0, 1]{meant}"
        )
