"""Hostile networks, each from a seed: weights, inputs and eps at which rounding has a say."""

import copy
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import torch
from torch import Tensor, nn

from bench.parsing import NORMS
from relu.threat import Norm, Threat
from tests.hostile import rational
from tests.hostile.radius import exact_radius
from tests.hostile.rational import Affine, Box, Shape

BOXES: tuple[Box, ...] = ((0.0, 1.0), (-1.0, 2.0), (-0.1, 1.1))
INPUTS = 2
LARGEST = 1e30  # what a network computes must be finite in float32


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network, its inputs, and what is true of them.

    radii: powers of the exact radii, None where nothing in the box is adversarial; None for all:
    the network is too large for that.
    """

    seed: int
    net: nn.Sequential
    shape: Shape
    x: Tensor
    y: Tensor
    threat: Threat
    layers: list[Affine]
    margins: list[Fraction]
    radii: list[Fraction | None] | None

    @property
    def points(self) -> list[list[float]]:
        return rational.points(self.x)

    def script(self) -> str:
        """Python that builds the network, the inputs and the threat, whatever becomes of draws."""
        lines = ["import torch", "from torch import nn", "from relu.threat import Threat"]
        modules = ", ".join(f"nn.{module!r}" for module in self.net)
        lines.append(f"net = nn.Sequential({modules}).requires_grad_(False)")
        for name, value in self.net.named_parameters():
            lines.append(f"net.get_parameter({name!r}).copy_(torch.tensor({value.tolist()}))")
        lines.append(f"x, y = torch.tensor({self.x.tolist()}), torch.tensor({self.y.tolist()})")
        lines.append(f"threat = {self.threat!r}")
        return "\n".join(lines)


def case_of(seed: int) -> Case:
    """The case of a seed, always the same: as a rule one with a radius to be found."""
    draw = random.Random(seed)
    while True:
        case = _drawn(draw, seed)
        if case.radii is None or any(case.radii) or draw.random() < 0.1:
            return case


def _drawn(draw: random.Random, seed: int) -> Case:
    net, shape, tiny = _net(draw)
    norm: Norm = draw.choice(sorted(NORMS))
    box = draw.choice(BOXES)
    x = torch.tensor([_image(draw, math.prod(shape), box) for _ in range(INPUTS)])
    x = x.view(INPUTS, *shape)
    if draw.random() < 0.3:
        _tie_hidden(draw, net, x[0])
    layers = rational.read(net, shape)
    labels = [_label(draw, layers, point) for point in rational.points(x)]
    if draw.random() < 0.2 and _tie_logits(draw, net, layers, x[0], labels[0]):
        layers = rational.read(net, shape)
    every = list(zip(rational.points(x), labels, strict=True))
    radii = [exact_radius(layers, z, y, norm, box) for z, y in every] if tiny else None
    eps = drawn_eps(draw, norm, box, radii[0] if radii else None)
    return Case(
        seed=seed,
        net=net,
        shape=shape,
        x=x,
        y=torch.tensor(labels),
        threat=Threat(norm=norm, eps=eps, box=box),
        layers=layers,
        margins=[rational.margin(layers, z, y) for z, y in every],
        radii=radii,
    )


def with_eps(case: Case, eps: float) -> Case:
    """The same at another eps."""
    return replace(case, threat=replace(case.threat, eps=eps))


def _net(draw: random.Random) -> tuple[nn.Sequential, Shape, bool]:
    """A network whose numbers float32 can hold, and whether its exact radii are at hand."""
    while True:
        tiny = draw.random() < 0.96
        convolutional = draw.random() < 0.2
        modules, shape = (_convolutions if convolutional else _dense)(draw, tiny)
        net = nn.Sequential(*modules).requires_grad_(False)
        _fill(draw, net)
        if _most(net, shape) < LARGEST:
            return net, shape, tiny


def _most(net: nn.Sequential, shape: Shape) -> float:
    """The largest logit of the network with the absolute values of its weights."""
    twin = copy.deepcopy(net).double()
    for parameter in twin.parameters():
        parameter.abs_()
    return float(twin(torch.full((1, *shape), 2.0, dtype=torch.float64)).max())


def _dense(draw: random.Random, tiny: bool) -> tuple[list[nn.Module], Shape]:
    d = draw.choice([1, 2, 2, 3, 3]) if tiny else draw.randrange(4, 17)
    most = 4 if tiny else 12
    hidden = [draw.randint(1, most) for _ in range(draw.choice([0, 1, 1, 2, 2, 3]))]
    if tiny and draw.random() < 0.15:  # deep, so that products of small weights underflow
        hidden = [draw.choice([1, 1, 2]) for _ in range(draw.randint(4, 8))]
    while tiny and sum(hidden) > 10:
        hidden.pop()
    widths = [d, *hidden, draw.choice([2, 2, 2, 3, 4])]
    modules: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise(widths):
        modules += [nn.Linear(a, b), nn.ReLU()]
    return modules[:-1], (d,)


def _convolutions(draw: random.Random, tiny: bool) -> tuple[list[nn.Module], Shape]:
    """Kernels larger than the image, strides larger than the kernel, units that see padding."""
    small = [(1, 1, 2), (1, 1, 3), (1, 3, 1), (2, 1, 1), (3, 1, 1), (1, 2, 1)]
    large = [(1, 3, 3), (2, 2, 3), (1, 1, 7), (1, 5, 2), (3, 2, 2)]
    start: Shape = draw.choice(small if tiny else large)
    shape = start
    units = 0
    modules = list[nn.Module]()
    for _ in range(draw.choice([1, 1, 2])):
        kernel = draw.randint(1, 4)
        stride = draw.randint(1, 4)
        padding = draw.randint(0, 3)
        sides = [(side + 2 * padding - kernel) // stride + 1 for side in shape[1:]]
        if min(sides) < 1:
            continue
        channels = draw.randint(1, 2 if tiny else 3)
        while channels > 1 and tiny and units + channels * math.prod(sides) > 8:
            channels -= 1
        if units + channels * math.prod(sides) > (8 if tiny else 60):
            continue
        units += channels * math.prod(sides)
        bias = draw.random() < 0.8
        modules += [nn.Conv2d(shape[0], channels, kernel, stride, padding, bias=bias), nn.ReLU()]
        shape = (channels, *sides)
    if not modules:
        return _convolutions(draw, tiny)
    modules += [nn.Flatten(), nn.Linear(math.prod(shape), draw.choice([2, 2, 3]))]
    return modules, start


def _fill(draw: random.Random, net: nn.Sequential) -> None:
    """Weights and biases of a style and of scales that are drawn layer by layer."""
    number = draw.choice(STYLES)
    wild = draw.random() < 0.5
    balanced = draw.random() < 0.6
    reach = 1.0
    affine = [module for module in net if isinstance(module, nn.Linear | nn.Conv2d)]
    for module in affine:
        scale = _scale(draw) if wild else 1.0
        reach *= scale
        level = reach if balanced or not wild else _scale(draw)
        size = 1.0 if draw.random() < 0.5 else 0.5
        weight = [number(draw) * scale for _ in range(module.weight.numel())]
        module.weight.copy_(torch.tensor(weight).view_as(module.weight))
        if module.bias is not None:
            bias = [number(draw) * size * level for _ in range(len(module.bias))]
            module.bias.copy_(torch.tensor(bias).clamp(-1e30, 1e30))
        _spoil(draw, module)


def _integer(draw: random.Random) -> float:
    return float(draw.randint(-3, 3))


def _cancelling(draw: random.Random) -> float:
    """Close to each other, so that differences cancel."""
    return draw.choice([1.0, -1.0]) * (1 + draw.random() * 2.0 ** -draw.choice([8, 16, 22]))


STYLES: tuple[Callable[[random.Random], float], ...] = (
    lambda draw: draw.gauss(0.0, 1.0),
    lambda draw: draw.gauss(0.0, 1.0),
    _integer,
    _cancelling,
    lambda draw: draw.choice([-1.0, 0.0, 1.0]) * 2.0 ** draw.randint(-4, 4),
    lambda draw: float(draw.choice([-1, 1]) * draw.randrange(2**23, 2**24)),  # products are rounded
)


def _scale(draw: random.Random) -> float:
    return float(10 ** draw.uniform(-30, 8)) if draw.random() < 0.6 else draw.choice([1e-30, 1e8])


def _spoil(draw: random.Random, module: nn.Linear | nn.Conv2d) -> None:
    """Duplicated rows, zero rows, zero columns, dead layers."""
    weight = module.weight
    bias = module.bias
    units = len(module.weight)
    if units > 1 and draw.random() < 0.2:
        one, other = draw.sample(range(units), 2)
        sign = draw.choice([1.0, 1.0, -1.0])
        weight[one] = sign * weight[other]
        if bias is not None and draw.random() < 0.7:
            bias[one] = sign * bias[other]
    if draw.random() < 0.12:
        weight[draw.randrange(units)] = 0.0
    if draw.random() < 0.06:
        weight[:, draw.randrange(weight.shape[1])] = 0.0
    if bias is not None and draw.random() < 0.06:
        bias.copy_(-bias.abs() - 10 * weight.abs().max())
    if bias is not None and draw.random() < 0.1:
        bias.zero_()


def _image(draw: random.Random, size: int, box: Box) -> list[float]:
    """Entries inside the box, many on its edges, all float32."""
    low, high = (float(torch.tensor(edge)) for edge in box)
    low = low if low >= box[0] else 0.0
    high = high if high <= box[1] else 1.0
    kind = draw.randrange(5)
    if kind == 0:
        return [draw.choice([low, high]) for _ in range(size)]
    if kind == 1:
        return [draw.choice([low, high, draw.random()]) for _ in range(size)]
    if kind == 2:
        return [draw.randint(0, 8) / 8 for _ in range(size)]
    if kind == 3:
        return [draw.choice([0.0, 1.0, 1e-30, 1 - 2.0**-24, 0.5]) for _ in range(size)]
    return [draw.random() for _ in range(size)]


def _label(draw: random.Random, layers: list[Affine], point: list[float]) -> int:
    logits = rational.logits(layers, point)
    if draw.random() < 0.12:
        return draw.randrange(len(logits))
    return logits.index(max(logits))


def _tie_hidden(draw: random.Random, net: nn.Sequential, image: Tensor) -> None:
    """Moves the bias of a first unit so that it is 0 at the image, as far as float32 can say."""
    first = next(m for m in net if isinstance(m, nn.Linear | nn.Conv2d))
    if first is net[-1] or first.bias is None or not isinstance(first, nn.Linear):
        return
    unit = draw.randrange(len(first.bias))
    first.bias[unit] = -(first.weight[unit].double() @ image.flatten().double()).float()


def _tie_logits(
    draw: random.Random, net: nn.Sequential, layers: list[Affine], image: Tensor, label: int
) -> bool:
    """Moves the label's last bias so that it just ties, or leads by next to nothing."""
    last = net[-1]
    assert isinstance(last, nn.Linear)
    if last.bias is None:
        return False
    lead = float(rational.margin(layers, rational.floats(image), label))
    little = draw.choice([0.0, 1e-30, 1e-12, 1e-7, 1e-3]) * max(1e-30, float(last.bias.abs().max()))
    moved = torch.tensor(float(last.bias[label]) - lead + little, dtype=torch.float64)
    if not math.isfinite(float(moved.float())):
        return False
    last.bias[label] = moved.float()
    return True


def drawn_eps(draw: random.Random, norm: str, box: Box, radius: Fraction | None) -> float:
    """Near the exact radius, at it, next to it, or far from it."""
    near = rational.rounded(radius, norm) if radius else 0.0
    if not 1e-290 < near < math.inf:
        return draw.choice([0.1, 0.5, 1e-9, 1e-30, box[1] - box[0]])
    factors = [10.0, 2.0, 0.5, 0.1, 1 - 1e-9, 1 + 1e-9, 1 - 1e-6, 1 + 1e-6, 1e-12]
    beside = [near, near, math.nextafter(near, math.inf), math.nextafter(near, 0.0)]
    eps: float = draw.choice([*beside, *(factor * near for factor in factors)])
    return eps if eps > 1e-290 else near
