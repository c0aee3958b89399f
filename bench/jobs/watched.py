"""Errors that a training follows: clean, under a short attack, and certified."""

import torch
from torch import Tensor, nn

from bench.jobs.out_of_memory import in_parts
from relu.attacks.pgd import ascend
from relu.bounds.ball import ball_of
from relu.bounds.intervals import intervals
from relu.bounds.linear import margin_lower_bounds, relax
from relu.classes import margins
from relu.errors import InputError
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.threat import Threat

STEPS = 10  # of PGD
AT_ONCE = 100  # inputs whose bounds are computed together
MANY = 10_000  # units, from which on their bounds are intervals


def attacked_errors(
    net: nn.Module, x: Tensor, y: Tensor, threat: Threat, seed: int
) -> tuple[float, float]:
    """Clean and PGD error of a few inputs, without touching the global generator."""
    net.eval()
    generator = torch.Generator(device=x.device).manual_seed(seed)

    def wrong(start: int, stop: int) -> Tensor:
        some_x = x[start:stop]
        some_y = y[start:stop]
        z, _ = ascend(net, some_x, some_y, threat=threat, steps=STEPS, generator=generator)
        with torch.no_grad():
            errors = [~(margins(net(inputs), some_y) > 0) for inputs in (some_x, z)]
        return torch.stack([errors[0], errors[0] | errors[1]])

    clean, attacked = torch.cat(in_parts(wrong, len(x)), dim=1).float().mean(1).tolist()
    return clean, attacked


@torch.no_grad()
def uncertified_error(net: nn.Module, x: Tensor, y: Tensor, threat: Threat) -> float:
    """The share of inputs that neither interval bounds nor CROWN's certify, in float32.

    It is followed, and proves nothing. Networks of many units are given lines between interval
    bounds (CROWN-IBP), as others would take minutes. 1 where the network cannot be read.
    """
    net.eval()
    try:
        layers = read_layers(net, tuple(x.shape[1:]))
    except InputError:
        return 1.0

    many = sum(layer.size for layer in layers[:-1]) > MANY

    def open_(start: int, stop: int) -> Tensor:
        part = slice(start, stop)
        ball = ball_of(to_vectors(layers, x[part]), threat)
        undecided = ~(intervals(layers, ball).margins(y[part]).amin(1) > 0)
        rows = undecided.nonzero().squeeze(1)
        for some in rows.split(AT_ONCE):
            places = some + start
            ball = ball_of(to_vectors(layers, x[places]), threat)
            known = intervals(layers, ball).hidden if many else None
            bounds = margin_lower_bounds(relax(layers, ball, "crown", known=known), y[places])
            undecided[some] = ~(bounds.amin(1) > 0)
        return undecided

    return float(torch.cat(in_parts(open_, len(x))).float().mean())
