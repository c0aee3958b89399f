"""What hypothesis draws: threats, images, tiny dense networks."""

from itertools import pairwise

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.parsing import NORMS
from relu.threat import Threat

seeds = st.integers(0, 2**31 - 1)
threats = st.builds(
    Threat,
    norm=st.sampled_from(sorted(NORMS)),
    eps=st.floats(1e-3, 3.0, allow_nan=False),
)


@st.composite
def images(draw: st.DrawFn, *, count: int = 5) -> Tensor:
    """A batch of random images in [0, 1], some pixels exactly on the box."""
    generator = torch.Generator().manual_seed(draw(seeds))
    d = draw(st.integers(1, 9))
    return torch.rand(count, d, generator=generator).mul_(1.4).sub_(0.2).clamp_(0, 1)


@st.composite
def tiny_nets(draw: st.DrawFn) -> tuple[nn.Sequential, int]:
    """A random dense network with one or two hidden layers of up to 3 units, and its input size."""
    generator = torch.Generator().manual_seed(draw(seeds))
    d = draw(st.integers(2, 3))
    classes = draw(st.integers(2, 3))
    widths = [d, *draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)), classes]
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n_out in pairwise(widths):
        layer = nn.Linear(n_in, n_out)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(n_out, n_in, generator=generator))
            layer.bias.copy_(torch.randn(n_out, generator=generator) / 2)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).requires_grad_(False), d
