"""A case of a property that is not decided yet: its network, and what is known of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from bench.jobs.runtime import Runtime
from bench.jobs.violations import Violations
from evaluators.interface import Interval
from relu.errors import InputError
from relu.network.layers import Shape
from relu.network.property.case import Case
from relu.network.property.condition import PropertyNetwork, property_network
from relu.network.property.vnnlib.records import Property
from relu.network.reader import in_float64


@dataclass(eq=False)
class OpenCase:
    """A case, its network, what is known of it, and what counts as its violation."""

    case: Case
    net: PropertyNetwork
    exact_net: nn.Module
    violations: Violations
    known: Interval = field(
        default_factory=lambda: Interval(
            low=torch.zeros(1, dtype=torch.float64), high=torch.full((1,), math.inf).double()
        )
    )
    certified: bool = False


def opener(
    net: nn.Module, shape: Shape, asked: Property, runtime: Runtime
) -> Callable[[Case], OpenCase]:
    """What opens a case of the property. Raises InputError where the network is another one."""
    net = net.requires_grad_(False).eval()
    inputs = math.prod(shape)
    if inputs != asked.input.size:
        raise InputError(
            f"the property has {asked.input.size} inputs, the network takes {inputs} {shape}"
        )
    with torch.no_grad():
        outputs = net(torch.zeros(1, *shape)).numel()
    if outputs != asked.output.size:
        raise InputError(f"the property has {asked.output.size} outputs, the network {outputs}")

    def opened(case: Case) -> OpenCase:
        network = property_network(net, case, shape, outputs)
        violations = Violations(net, case, shape, outputs, runtime)
        return OpenCase(case, network, in_float64(network), violations)

    return opened
