"""Networks that several attacks are tried on: linear ones, tiny ones, and one without gradients."""

import torch
from torch import Tensor, nn

from tests.oracles import Layer, exact_radius

STEPS = 40  # of the staircase
WIDTH = 2.0**-18  # of the ramp of a step, on which alone there is a gradient


def layers_of(net: nn.Module) -> list[Layer]:
    """A dense network for the oracles."""
    return [
        (layer.weight.double().numpy(), layer.bias.double().numpy())
        for layer in net.modules()
        if isinstance(layer, nn.Linear)
    ]


def radii(net: nn.Module, x: Tensor, y: Tensor, norm: str) -> Tensor:
    """The exact radius of each input of a tiny network; inf where nothing is adversarial."""
    layers = layers_of(net)
    pairs = zip(x.double().numpy(), y.tolist(), strict=True)
    return torch.tensor([exact_radius(layers, image, label, norm) for image, label in pairs])


def tiny(seed: int, classes: int = 4) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A random network of three pixels and six units, and some inputs with its own labels."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, classes))
    net.requires_grad_(False)
    for parameter in net.parameters():
        parameter.normal_(std=1.0 if parameter.ndim > 1 else 0.3)
    x = torch.rand(12, 3)
    return net, x, net(x).argmax(1)


def staircase(pixels: int) -> nn.Sequential:
    """Class 0, unless the mean pixel is at least 5/8; the gradient is 0 nearly everywhere.

    The logit of class 1 is a staircase of the mean s: sum over steps t of
    (relu(s - t) - relu(s - t - WIDTH)) / WIDTH, minus the number of steps up to 5/8.
    """
    edges = torch.arange(STEPS).double() / STEPS + 2.0**-7
    first = nn.Linear(pixels, 2 * STEPS)
    last = nn.Linear(2 * STEPS, 2)
    first.weight.data = torch.full((2 * STEPS, pixels), 1 / pixels).double()
    first.bias.data = torch.cat([-edges, -edges - WIDTH])
    rise = torch.cat([torch.ones(STEPS), -torch.ones(STEPS)]).double() / WIDTH
    last.weight.data = torch.stack([torch.zeros_like(rise), rise])
    last.bias.data = torch.tensor([0.0, -float((edges <= 0.625).sum()) + 0.5]).double()
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), last).requires_grad_(False)
