"""Inputs that violate a property: looked at again in float32 and in exact arithmetic."""

from dataclasses import dataclass
from fractions import Fraction

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bench.jobs.runtime import Runtime
from relu.attacks.witness import adversarial
from relu.classes import margins
from relu.network.layers import Shape
from relu.network.property.case import Case, inner_box
from relu.network.property.condition import condition_network
from relu.network.reader import in_float64

PUSHES = tuple(2.0**k for k in range(-16, -2))  # of the box's width, further into the violation
LABEL = torch.tensor([0])


@dataclass(frozen=True)
class Violation:
    """An input of the box that violates the property, and the outputs there, in float32."""

    x: Float[Tensor, " *shape"]
    y: Float[Tensor, " k"]


class Violations:
    """Of one case: what counts as a violation, and how one is made of a point near it.

    exact: whether any point was seen that violates the case in exact arithmetic.
    """

    def __init__(
        self, net: nn.Module, case: Case, shape: Shape, outputs: int, runtime: Runtime
    ) -> None:
        self.case = case
        self.runtime = runtime
        self.lower, self.upper = (edge.view(shape) for edge in inner_box(case))
        self.net = condition_network(net, case.disjuncts, outputs, side="inner")
        self.exact_net = in_float64(self.net)
        self.exact = False

    @property
    def empty(self) -> int | None:
        """The first input between whose bounds there is no float32, if any."""
        gaps = (self.lower > self.upper).flatten().nonzero()
        return int(gaps[0]) if len(gaps) else None

    def at(self, x: Float[Tensor, " *shape"]) -> Violation | None:
        """The violation at x, rounded into the box; None: it is none."""
        return None if self.empty is not None else self._violation(self._inside(x))

    def near(self, x: Float[Tensor, " *shape"]) -> Violation | None:
        """A violation at x, rounded into the box, or a few steps of ascent further; None: none."""
        if self.empty is not None:
            return None
        z = self._inside(x)
        self.exact |= self._exactly(z)
        for push in PUSHES:
            if (violation := self._violation(z)) is not None:
                return violation
            z = self._inside(z.double() - push * self._ascent(z))
        return self._violation(z)

    def _inside(self, x: Tensor) -> Tensor:
        return x.float().clamp(self.lower, self.upper)

    def _violation(self, z: Tensor) -> Violation | None:
        """Z itself, if it violates the case in exact arithmetic and as the runtime sees it."""
        y = self.runtime(z)
        if not bool(y.isfinite().all()):
            return None
        if not self.case.violated([Fraction(value) for value in y.tolist()]):
            return None
        return Violation(z, y) if self._exactly(z) else None

    def _exactly(self, z: Tensor) -> bool:
        return bool(adversarial(self.exact_net, z.double().unsqueeze(0), LABEL))

    def _ascent(self, z: Tensor) -> Tensor:
        """The corner of the box's size towards which the margin grows fastest."""
        with torch.enable_grad():
            free = z.double().unsqueeze(0).requires_grad_()
            margin = margins(self.exact_net(free), LABEL)
            slope: Tensor = torch.autograd.grad(margin.sum(), free)[0][0]
        return slope.sign() * (self.upper.double() - self.lower.double())
