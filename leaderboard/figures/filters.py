"""Filters of the first layers, as pictures [CAH19, Figure 6]."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from leaderboard.figures.pictures import draw_signed, explain_signs, picture_grid
from leaderboard.figures.runs import Case
from relu.errors import InputError
from relu.network.layers import Shape

FILTERS = 16


def filters_of(net: nn.Module, shape: Shape) -> list[Float[Tensor, "n c h w"]]:
    """Weights of the first two convolutions, of a net without them those of its first layer.

    Of each at most FILTERS: the first ones of a convolution, of a dense layer the rows with the
    largest norms, as images. Raises InputError for a net that has neither.
    """
    kernels = [m.weight.detach() for m in net.modules() if isinstance(m, nn.Conv2d)]
    if kernels:
        return [kernel[:FILTERS] for kernel in kernels[:2]]
    dense = [m.weight.detach() for m in net.modules() if isinstance(m, nn.Linear)]
    if not dense or dense[0].shape[1] != math.prod(shape):
        raise InputError("a network has neither convolutions nor a dense layer on its inputs")
    largest = dense[0].norm(dim=1).argsort(descending=True, stable=True)[:FILTERS]
    return [dense[0][largest].view(-1, *shape)]


def mosaic(kernel: Float[Tensor, "c h w"]) -> np.ndarray:
    """The channels of a filter side by side, in as good as a square; NaN where none is left."""
    count, height, width = kernel.shape
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    tiles = torch.full((down * across, height, width), torch.nan, dtype=kernel.dtype)
    tiles[:count] = kernel
    whole = tiles.view(down, across, height, width).permute(0, 2, 1, 3)
    return whole.reshape(down * height, across * width).numpy()


def filters_figure(case: Case) -> Figure:
    """A line for each network and layer; each line with a scale of its own, up to its largest."""
    shape = case.runs.shape(case.rows[0])
    if len(shape) != 3 or min(shape[1:]) < 2:
        raise InputError(f"inputs of shape {shape} are no images")
    nets = [filters_of(case.runs.network(row), shape) for row in case.rows]
    titles, lines = _lines(nets, case.labels)
    figure, axes = picture_grid(titles, max(map(len, lines)))
    for panels, kernels in zip(axes, lines, strict=True):
        largest = float(kernels.abs().max()) or 1.0
        for panel, kernel in zip(panels, kernels, strict=False):
            draw_signed(panel, mosaic(kernel), largest)
    explain_signs(figure, axes, "weight, each line in a scale of its own")
    return figure


def _lines(
    nets: Sequence[Sequence[Tensor]], labels: Sequence[str]
) -> tuple[list[str], list[Tensor]]:
    """Layer by layer, as the paper has it, the lines of all networks, and their titles."""
    titles = []
    lines = []
    deepest = max(map(len, nets))
    for layer in range(deepest):
        for kernels, label in zip(nets, labels, strict=True):
            if layer < len(kernels):
                titles.append(f"{label}\nlayer {layer + 1}" if deepest > 1 else label)
                lines.append(kernels[layer])
    return titles, lines
