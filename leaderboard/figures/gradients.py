"""Gradients of the loss with respect to the input [CAH19, Figure 5]."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from leaderboard.figures.pictures import draw_image, draw_signed, explain_signs, picture_grid
from leaderboard.figures.runs import Case
from leaderboard.figures.style import plain
from relu.classes import Images, Labels
from relu.errors import InputError

INPUTS = 10
FULL = 99.5  # per cent of all values, which the scale holds


def loss_gradients(net: nn.Module, x: Images, y: Labels) -> Float[Tensor, "n *shape"]:
    """The gradient of the cross-entropy in each input, each scaled to l2 norm 1; 0 stays 0."""
    x = x.detach().clone().requires_grad_(True)
    loss = F.cross_entropy(net(x), y, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, x)
    rows: Tensor = gradient.flatten(1)
    length = rows.norm(dim=1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    scaled: Tensor = (rows / length).view_as(gradient)
    return scaled


def gradients_figure(case: Case) -> Figure:
    """Images, and below them the gradients of each network, summed over channels.

    Of the inputs that were asked for, else of the first INPUTS. Where the paper goes from blue over
    white to red, lightness tells signs apart in grey, too.
    """
    row = case.rows[0]
    shape = case.runs.shape(row)
    if len(shape) != 3 or min(shape[1:]) < 2:
        raise InputError(f"inputs of shape {shape} are no images")
    inputs = case.runs.inputs(row)
    chosen = [i for i in case.inputs if i in inputs.index] or inputs.index.tolist()[:INPUTS]
    x = case.runs.images(row, chosen)
    y = torch.tensor(inputs["y"][chosen].to_numpy(), dtype=torch.long)
    drawn = [loss_gradients(case.runs.network(one), x, y).sum(1).numpy() for one in case.rows]
    figure, axes = picture_grid(["input", *map(plain, case.labels)], len(chosen))
    for panel, image in zip(axes[0], x.numpy(), strict=True):
        draw_image(panel, image)
    largest = float(np.percentile(np.abs(drawn), FULL)) or 1.0
    for line, gradients in zip(axes[1:], drawn, strict=True):
        for panel, gradient in zip(line, gradients, strict=True):
            draw_signed(panel, gradient, largest)
    explain_signs(figure, axes, "gradient of the loss, each scaled to l2 norm 1")
    return figure
