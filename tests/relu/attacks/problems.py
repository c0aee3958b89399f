"""Networks that several attacks are tried on: linear ones, tiny ones, and one without gradients."""

import torch
from torch import Tensor, nn

from tests.oracles import Layer, exact_radius

STEPS = 400  # of the staircase


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


class Staircase(nn.Module):
    """Class 0, unless the mean pixel is at least 5/8: logits 0 and a staircase without slopes."""

    def forward(self, x: Tensor) -> Tensor:
        steps = (STEPS * x.flatten(1).mean(1)).floor()
        return torch.stack([torch.zeros_like(steps), steps - 0.625 * STEPS + 0.5], dim=1)


def inputs_of(drawn: tuple[nn.Sequential, int], seed: int) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A drawn network, some random inputs, and its own labels of these."""
    net, d = drawn
    torch.manual_seed(seed)
    x = torch.rand(9, d)
    return net, x, net(x).argmax(1)
