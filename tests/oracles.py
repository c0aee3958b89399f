"""Slow, plain second opinions in numpy float64, written apart from the code they check."""

import itertools
from collections.abc import Sequence

import numpy as np
import scipy.optimize

Layer = tuple[np.ndarray, np.ndarray]  # weight (out, in), bias (out,)


def forward(layers: Sequence[Layer], x: np.ndarray) -> np.ndarray:
    """Logits of a dense ReLU network at one point."""
    for weight, bias in layers[:-1]:
        x = np.maximum(weight @ x + bias, 0)
    weight, bias = layers[-1]
    return weight @ x + bias


def exact_radius(layers: Sequence[Layer], x: np.ndarray, label: int, norm: str) -> float:
    """Smallest ||z - x|| (linf or l1) with z in [0, 1]^d and some other logit >= the label's.

    Every activation pattern's polytope is searched by a linear program of its own.
    """
    logits = forward(layers, x)
    if np.delete(logits, label).max() >= logits[label]:
        return 0.0
    widths = [len(bias) for _, bias in layers[:-1]]
    best = np.inf
    for pattern in itertools.product((0.0, 1.0), repeat=sum(widths)):
        rows, offsets, last = _region(layers, np.array(pattern), widths)
        weight, bias = last
        for other in range(len(bias)):
            if other != label:
                normal, offset = weight[label] - weight[other], bias[label] - bias[other]
                a, b = np.vstack([rows, normal]), np.append(offsets, -offset)
                best = min(best, _nearest(a, b, x, norm))
    return best


def _region(
    layers: Sequence[Layer], pattern: np.ndarray, widths: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, Layer]:
    """A z <= b of the polytope of a pattern, and the affine map of the logits on it."""
    weight, bias = np.eye(layers[0][0].shape[1]), np.zeros(layers[0][0].shape[1])
    rows, offsets = [np.zeros((0, weight.shape[1]))], [np.zeros(0)]
    for (w, b), active in zip(layers[:-1], np.split(pattern, np.cumsum(widths)[:-1]), strict=True):
        weight, bias = w @ weight, w @ bias + b
        sign = 2 * active - 1
        rows.append(-sign[:, None] * weight)
        offsets.append(sign * bias)
        weight, bias = active[:, None] * weight, active * bias
    w, b = layers[-1]
    return np.vstack(rows), np.concatenate(offsets), (w @ weight, w @ bias + b)


def _nearest(a: np.ndarray, b: np.ndarray, x: np.ndarray, norm: str) -> float:
    """min ||z - x|| subject to a z <= b, 0 <= z <= 1: variables z and t (one, or one per entry)."""
    d = len(x)
    t = 1 if norm == "linf" else d
    spread = np.ones((d, 1)) if norm == "linf" else np.eye(d)
    constraints = np.block([
        [a, np.zeros((len(a), t))], [np.eye(d), -spread], [-np.eye(d), -spread],
    ])  # fmt: skip
    found = scipy.optimize.linprog(
        np.concatenate([np.zeros(d), np.ones(t)]), A_ub=constraints,
        b_ub=np.concatenate([b, x, -x]), bounds=[(0, 1)] * d + [(0, None)] * t,
    )  # fmt: skip
    return float(found.fun or 0.0) if found.status == 0 else np.inf


def nearest_in_l1_ball(delta: np.ndarray, radius: float) -> np.ndarray:
    """The euclidean projection of one vector on the l1 ball, by bisection of the threshold."""
    low, high = 0.0, float(np.abs(delta).max())
    if np.abs(delta).sum() <= radius:
        return delta
    for _ in range(200):
        middle = (low + high) / 2
        inside = np.maximum(np.abs(delta) - middle, 0).sum() <= radius
        low, high = (low, middle) if inside else (middle, high)
    return np.sign(delta) * np.maximum(np.abs(delta) - high, 0)
