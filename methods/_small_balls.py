"""Small balls around PGD examples, inside the threat's [MEFV23]."""

from dataclasses import replace

from torch import nn

from relu.attacks.pgd import ascend
from relu.bounds.ball import Ball, Perturbations, ball_of
from relu.classes import Images, Labels
from relu.network.layers import Layer, to_vectors
from relu.threat import Threat


def small_balls(
    net: nn.Module,
    layers: tuple[Layer, ...],
    x: Images,
    y: Labels,
    *,
    threat: Threat,
    share: float,
    steps: int,
) -> Ball:
    """Balls of `share` of the radius around PGD examples, moved until they lie in the threat's.

    linf: a box of `share` of the half widths of what ball and box leave of each pixel. l2, l1:
    the example is pulled to (1 - share) eps from x, and the small ball is cut by the box.
    """
    if share == 1:
        return ball_of(to_vectors(layers, x), threat)
    z, _ = ascend(net, x, y, threat=threat, steps=steps)
    if not threat.p_norm.box_shaped:
        pulled = x + (1 - share) * (z - x)
        small = replace(threat, eps=share * float(threat.eps))
        return ball_of(to_vectors(layers, pulled), small)
    whole = ball_of(to_vectors(layers, x), threat)
    radius = share * whole.deltas.up
    room = whole.deltas.up - radius
    examples = to_vectors(layers, z)
    center = examples.clamp(whole.center - room, whole.center + room)
    deltas = Perturbations(threat.p_norm, share * whole.deltas.eps, radius, radius, even=False)
    return Ball(center, deltas)
