"""Bounds of a ReLU network over a ball, by backward linear relaxation.

Every ReLU is replaced by two lines (relu/bounds/relaxation.py). A linear form of a layer's outputs
then has a bound that is linear in the layer below, and so on down to the input, where the ball says
what is left to lose (relu/bounds/backward.py).
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from relu.batching import at_once, groups
from relu.bounds.backward import fall, steps_below
from relu.bounds.ball import Ball
from relu.bounds.coupling import Distances
from relu.bounds.next_layer import next_bounds
from relu.bounds.random_projection import Projected, RandomProjections
from relu.bounds.relaxation import Relaxation, lines_of
from relu.bounds.relaxed_network import (
    HiddenBounds,
    RelaxedNetwork,
    least_output,
    with_rounding,
)
from relu.classes import gaps, others
from relu.network.activation import activated
from relu.network.layers import Layer
from relu.regions.jacobian import logit_rows
from relu.rounding import UNDERFLOW, gamma


def relax(
    layers: Sequence[Layer],
    ball: Ball,
    relaxation: Relaxation,
    *,
    every: bool = False,
    known: Sequence[HiddenBounds] | None = None,
    estimates: RandomProjections | None = None,
    largest: Sequence[float] | None = None,
) -> RelaxedNetwork:
    """The relaxation of the network over the balls. Differentiable in the parameters.

    every: bounds of every unit in full, also of those that cannot switch. known: bounds of all
    hidden layers, taken as they are. estimates: estimates of wide layers in place of bounds, with
    parallel lines and in float32; they prove nothing. largest: of each hidden layer, an upper bound
    of its largest singular value, which couples its units in l2 and l1 ("crown").

    In float64 all bounds are moved outwards by what rounding may have done to them. With
    s = |W| (the most that |g| can be, plus that of the reference) + |b|, what is computed of a
    unit's reference, or of a row times it, is off by at most gamma s per coefficient: lines are
    that much further apart, and so are bounds. What a sum over units loses is increased by gamma
    term by term, and what a row loses by gamma as a whole. Products that underflow lose up to
    UNDERFLOW times all that they can be multiplied by.
    """
    unit = gamma(layers, ball.center.shape[1]) if ball.center.dtype == torch.float64 else 0.0
    found = RelaxedNetwork(layers, ball, unit, (), (), (), (), (), ball.center[:, :0])
    given = ball.center
    most = ball.center.abs() + ball.deltas.up.maximum(ball.deltas.down)
    total = 1 + most.sum(1, keepdim=True)
    distances = Distances.of(ball) if largest is not None and relaxation == "crown" else None
    parallel = relaxation == "kw"
    projected = estimates.of(ball.deltas) if estimates is not None and parallel else None
    for i, layer in enumerate(layers[:-1]):
        error, total = _errors(layer, given, most, total, unit)
        z = layer.forward(given)
        bounds = known[i] if known else _hidden_bounds(found, z, error, every, projected)
        low = bounds.low
        high = bounds.high
        level = bounds.level
        lines, given = lines_of(
            z, low, high, relaxation, layer.leak, level=level, slack=error, unit=unit
        )
        if distances is not None and largest is not None:
            distances, coupling = distances.coupled(
                layer, largest[i], low, high, z=z, given=given, error=error, unit=unit
            )
            lines = replace(lines, coupling=coupling)
        most = activated(layer, high).abs().maximum(least_output(layer, low, lines, level).abs())
        found = replace(
            found,
            low=(*found.low, low),
            high=(*found.high, high),
            level=(*found.level, level),
            lines=(*found.lines, lines),
            reference=(*found.reference, z),
        )
    logits = layers[-1].forward(given)
    error, _ = _errors(layers[-1], given, most, total, unit)
    return replace(found, reference=(*found.reference, logits), rounding=error.detach())


def margin_lower_bounds(relaxed: RelaxedNetwork, y: Int[Tensor, " n"]) -> Float[Tensor, "n k1"]:
    """Lower bounds of f_y - f_s over the ball, for all classes s but y in order. Differentiable."""
    falls = _falls(relaxed, logit_rows(relaxed.layers, y))
    return gaps(relaxed.reference[-1], y) - with_rounding(falls, relaxed.unit) - _lost(relaxed, y)


def joint_lower_bounds(
    relaxed: RelaxedNetwork, y: Int[Tensor, " n"], weights: Float[Tensor, "n k1"]
) -> Float[Tensor, " n"]:
    """Lower bounds of the sums of weights * (f_y - f_s), in one backward pass. Differentiable.

    Up to the rounding of these sums themselves: for training, no certificate rests on it.
    """
    rows = (weights.unsqueeze(1) @ logit_rows(relaxed.layers, y)).squeeze(1)
    falls = with_rounding(_falls(relaxed, rows.unsqueeze(1)).squeeze(1), relaxed.unit)
    return (weights * (gaps(relaxed.reference[-1], y) - _lost(relaxed, y))).sum(1) - falls


def _falls(relaxed: RelaxedNetwork, rows: Float[Tensor, "n k size"]) -> Float[Tensor, "n k"]:
    """How far rows on the last layer's input can fall, some inputs at a time."""
    top = len(relaxed.layers) - 1
    widest = max(relaxed.ball.center.shape[1], *(layer.size for layer in relaxed.layers))
    falls = [rows.new_zeros(0, rows.shape[1])]
    for part in groups(len(rows), at_once(rows.device) // (rows.shape[1] * widest)):
        steps = steps_below(relaxed.layers, relaxed.lines, top, part)
        falls.append(fall(rows[part], steps, relaxed.ball.deltas.at(part)))
    return torch.cat(falls)


def _lost(relaxed: RelaxedNetwork, y: Int[Tensor, " n"]) -> Float[Tensor, "n k1"]:
    """What rounding may have done to the reference's margins."""
    rivals = others(y, relaxed.rounding.shape[1])
    return relaxed.rounding.gather(1, y.unsqueeze(1)) + relaxed.rounding.gather(1, rivals)


def _hidden_bounds(
    below: RelaxedNetwork, z: Tensor, error: Tensor, every: bool, projected: Projected | None
) -> HiddenBounds:
    """Of the next layer, around its reference z; estimates of them, where it is wide."""
    if projected is not None and below.lines and below.next.size > projected.wider_than:
        return _estimated(below, z, projected)
    return next_bounds(below, z, error, every)


def _estimated(below: RelaxedNetwork, z: Tensor, projected: Projected) -> HiddenBounds:
    """Estimates of the next layer's bounds, around its reference z."""
    assert not below.unit, "estimates must not certify"
    falls = projected.falls(below.layers, below.lines)
    return HiddenBounds(z - falls, z + falls)


def _errors(
    layer: Layer, given: Tensor, most: Tensor, total: Tensor, unit: float
) -> tuple[Tensor, Tensor]:
    """How far what is computed of a layer's units may be off, and the new total.

    size: what the absolute values of all terms of a unit add up to. total: 1 + all sizes so far,
    which is what a coefficient's underflow, anywhere in a backward pass, can be multiplied by.
    0 where nothing is to be proven (unit = 0).
    """
    if not unit:
        return given.new_zeros(len(given), layer.size), total
    size = layer.absolute().forward(most + given.abs())
    total = total + size.sum(1, keepdim=True)
    return unit * size + UNDERFLOW * total, total
