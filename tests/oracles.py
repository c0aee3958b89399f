"""Slow, plain second opinions in numpy float64, written apart from the code they check."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import scipy.optimize
import torch
from torch import Tensor, nn

Layer = tuple[np.ndarray, np.ndarray]  # weight (out, in), bias (out,)
Box = tuple[float, float]


def forward(layers: Sequence[Layer], x: np.ndarray) -> np.ndarray:
    """Logits of a dense ReLU network at one point."""
    for weight, bias in layers[:-1]:
        x = np.maximum(weight @ x + bias, 0)
    weight, bias = layers[-1]
    return weight @ x + bias


def exact_radius(
    layers: Sequence[Layer],
    x: np.ndarray,
    label: int,
    norm: str,
    box: Box = (0.0, 1.0),
    *,
    lead: float = 0.0,
) -> float:
    """Smallest ||z - x|| with z in the box and some other logit >= the label's + lead.

    All activation patterns are enumerated, unit by unit, leaving out branches whose polytope is
    empty or farther away than what is known; in what is left every cell is solved exactly.
    """
    logits = forward(layers, x)
    if np.delete(logits, label).max() >= logits[label] + lead:
        return 0.0
    best = np.inf
    stack = [_Cell(layers)]
    while stack:
        cell = stack.pop()
        if cell.linf_distance(x, box) >= best:  # no norm here is smaller than linf
            continue
        if cell.open:
            stack += [cell.fixed(on) for on in (True, False)]
            continue
        for rows, offsets in cell.won_by_others(label, lead):
            best = min(best, nearest(rows, offsets, x, norm, box))
    return best


class _Cell:
    """{z : a z <= b}: the units of some layers and of a part of the next one are fixed."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        d = layers[0][0].shape[1]
        self.layers = layers
        # what the next layer sees
        self.weight = np.eye(d)
        self.bias = np.zeros(d)
        self.pattern: list[bool] = []  # of the part of the next layer that is fixed
        self.a = np.zeros((0, d))
        self.b = np.zeros(0)

    @property
    def open(self) -> bool:
        return len(self.layers) > 1

    def fixed(self, on: bool) -> "_Cell":
        """The cell with its next unit active or not."""
        weight, bias = self.layers[0]
        unit = len(self.pattern)
        form = weight[unit] @ self.weight
        offset = weight[unit] @ self.bias + bias[unit]
        cell = _Cell(self.layers)
        sign = -1 if on else 1
        cell.a = np.vstack([self.a, sign * form])
        cell.b = np.append(self.b, -sign * offset)
        cell.weight = self.weight
        cell.bias = self.bias
        cell.pattern = [*self.pattern, on]
        if unit + 1 == len(bias):
            gate = np.array(cell.pattern, dtype=float)
            cell.bias = gate * (weight @ self.bias + bias)
            cell.weight = gate[:, None] * (weight @ self.weight)
            cell.layers = self.layers[1:]
            cell.pattern = []
        return cell

    def won_by_others(self, label: int, lead: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The parts of a cell where another class ties or wins."""
        weight, bias = self.layers[0]
        for other in range(len(bias)):
            if other != label:
                normal = weight[label] - weight[other]
                offset = normal @ self.bias + bias[label] - bias[other]
                yield np.vstack([self.a, normal @ self.weight]), np.append(self.b, -offset - lead)

    def linf_distance(self, x: np.ndarray, box: Box) -> float:
        return nearest(self.a, self.b, x, "linf", box)


def nearest(a: np.ndarray, b: np.ndarray, x: np.ndarray, norm: str, box: Box) -> float:
    """min ||z - x|| subject to a z <= b and z in the box; inf where there is no such z."""
    if norm == "l2":
        return _nearest_l2(a, b, x, box)
    d = len(x)
    t = 1 if norm == "linf" else d
    spread = np.ones((d, 1)) if norm == "linf" else np.eye(d)
    constraints = np.block(
        [
            [a, np.zeros((len(a), t))],
            [np.eye(d), -spread],
            [-np.eye(d), -spread],
        ]
    )
    found = scipy.optimize.linprog(
        np.concatenate([np.zeros(d), np.ones(t)]),
        A_ub=constraints,
        b_ub=np.concatenate([b, x, -x]),
        bounds=[box] * d + [(0, None)] * t,
    )
    return float(found.fun or 0.0) if found.status == 0 else np.inf


def _nearest_l2(a: np.ndarray, b: np.ndarray, x: np.ndarray, box: Box) -> float:
    """The nearest point lies on the planes of some constraints (at most d): all sets are tried."""
    d = len(x)
    a = np.vstack([a, np.eye(d), -np.eye(d)])
    b = np.concatenate([b, np.full(d, box[1]), np.full(d, -box[0])])
    size = np.linalg.norm(a, axis=1)
    if (b[size < 1e-12] < -1e-12).any():
        return np.inf
    a = a[size > 1e-12] / size[size > 1e-12, None]
    b = b[size > 1e-12] / size[size > 1e-12]
    best = 0.0 if (a @ x <= b + 1e-9).all() else np.inf
    for k in range(1, d + 1):
        sets = np.array(list(itertools.combinations(range(len(a)), k)))
        planes = a[sets]
        missing = b[sets] - a[sets] @ x
        gram = planes @ planes.transpose(0, 2, 1)
        free = np.linalg.det(gram) > 1e-10  # others meet in what fewer planes describe
        planes = planes[free]
        missing = missing[free]
        gram = gram[free]
        multipliers = np.linalg.solve(gram, missing[..., None])
        step = (planes.transpose(0, 2, 1) @ multipliers)[..., 0]
        inside = ((x + step) @ a.T <= b + 1e-9).all(1)
        best = min(best, np.linalg.norm(step[inside], axis=1).min(initial=np.inf))
    return float(best)


def nearest_in_l1_ball(delta: np.ndarray, radius: float) -> np.ndarray:
    """The euclidean projection of one vector on the l1 ball, by bisection of the threshold."""
    low = 0.0
    high = float(np.abs(delta).max())
    if np.abs(delta).sum() <= radius:
        return delta
    for _ in range(200):
        middle = (low + high) / 2
        inside = np.maximum(np.abs(delta) - middle, 0).sum() <= radius
        low, high = (low, middle) if inside else (middle, high)
    return np.sign(delta) * np.maximum(np.abs(delta) - high, 0)


def dense_distances(net: nn.Sequential, x: Tensor, y: Tensor, q: float) -> tuple[Tensor, Tensor]:
    """Distances of x to all hidden units' and all other classes' hyperplanes [CAH19, eq. 3-6].

    By the dense Jacobian of every pre-activation, the identity matrix pushed through the layers,
    which is what the bench avoids. Differentiable.
    """
    n = len(x)
    d = x[0].numel()
    z = x
    v = torch.eye(d, dtype=x.dtype).view(d, *x.shape[1:]).repeat(n, *[1] * (x.ndim - 1))
    hidden = []
    for module in net:
        if isinstance(module, nn.ReLU):
            length = torch.linalg.vector_norm(v.view(n, d, -1), ord=q, dim=1)
            hidden.append(z.flatten(1).abs() / length)
            on = (z > 0).to(z.dtype)
            z = z * on
            v = v * on.repeat_interleave(d, dim=0)
        else:
            z = module(z)
            v = module(v) - module(torch.zeros_like(v[:1]))
    rows = v.view(n, d, -1).transpose(1, 2)
    classes = z.shape[1]
    other = torch.tensor([[s for s in range(classes) if s != label] for label in y.tolist()])
    every = torch.arange(n).unsqueeze(1)
    gap = z[every, y.unsqueeze(1)] - z[every, other]
    normal = rows[every, y.unsqueeze(1)] - rows[every, other]
    d_b = torch.cat(hidden, dim=1).nan_to_num(torch.inf)
    return d_b, gap / torch.linalg.vector_norm(normal, ord=q, dim=2)


def stated_bounds(
    layers: Sequence[Layer],
    center: np.ndarray,
    room: np.ndarray,
    kind: str,
    unit: float,
    *,
    every: bool,
) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Bounds of hidden units, and a function of pairs to margins, as bounds/linear.py states them.

    Over |z - center| <= room, with a relative rounding error `unit` of sums that may be large.
    Returns the bounds, and the least of f_y - f_s as a table over y and s.
    """
    given = center
    most = np.abs(center) + room
    bounds = list[tuple[np.ndarray, np.ndarray]]()
    lines = list[tuple[np.ndarray, np.ndarray, np.ndarray]]()  # lower, upper, apart

    def lost(rows: np.ndarray) -> np.ndarray:
        """How far rows on the last outputs fall, increased by the rounding error."""
        total = np.zeros(len(rows))
        for (weight, _), (lower, upper, apart) in zip(
            reversed(layers[: len(lines)]), reversed(lines), strict=True
        ):
            total += np.abs(rows) @ apart
            rows = np.where(rows > 0, rows * lower, rows * upper) @ weight
        total += np.abs(rows) @ room
        return total * (1 + unit)

    def error(weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        return unit * (np.abs(weight) @ (most + np.abs(given)) + np.abs(bias))

    for weight, bias in layers[:-1]:
        z = weight @ given + bias
        off = error(weight, bias)
        low = z - lost(weight) - off
        high = z + lost(-weight) + off
        if lines and not every:
            before = lines[-1][0] * bounds[-1][0], np.maximum(bounds[-1][1], 0)
            middle = weight @ (before[0] + before[1]) / 2 + bias
            radius = np.abs(weight) @ (before[1] - before[0]) / 2
            rough = middle - radius - off, middle + radius + off
            settled = (rough[0] >= 0) | (rough[1] <= 0)
            low = np.where(settled, rough[0], low)
            high = np.where(settled, rough[1], high)
        open_ = (low < 0) & (high > 0)
        upper = np.where(open_, high / np.where(open_, high - low, 1), low >= 0)
        offset = np.where(open_, -upper * low, 0)
        lower = upper if kind == "kw" else np.where(open_, high > -low, low >= 0)
        half = (upper * z + offset - lower * z) / 2
        lines.append((lower, upper, half + unit * np.abs(half) + off * (high > 0)))
        given = lower * z + half
        most = np.maximum(np.maximum(high, 0), np.abs(lower * low))
        bounds.append((low, high))
    weight, bias = layers[-1]
    logits = weight @ given + bias
    off = error(weight, bias)
    falls = np.stack([lost(row - weight) for row in weight])
    return bounds, logits[:, None] - logits - falls - off[:, None] - off
