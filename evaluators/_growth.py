"""Balls beyond eps, in which attacks look for a witness of inputs that are not fooled at eps."""

from collections.abc import Iterator

from relu.classes import Images
from relu.threat import Threat


def is_growth(factor: float) -> bool:
    """1 (off) or at least 1.01."""
    return factor == 1 or factor >= 1.01


def wider(threat: Threat, x: Images, growth: float) -> Iterator[Threat]:
    """Balls of growth * eps, growth^2 * eps, ... up to one that holds the box around every x."""
    reach = float(threat.farthest(x).amax()) if len(x) else 0.0
    while growth > 1 and bool((threat.each(x) < reach).any()):
        threat = threat.grown(growth, reach)
        yield threat
