"""Residual blocks of torch modules [HZRS16]."""

from typing import Any

from torch import nn


class Residual(nn.Module):
    """relu(body(x) + shortcut(x))."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.relu = nn.ReLU()

    def forward(self, x: Any) -> Any:
        """Of images, or of the symbol that stands for them where the network is traced."""
        return self.relu(self.body(x) + self.shortcut(x))


def basic_block(channels: int, out: int, stride: int) -> Residual:
    """Two convolutions of 3 x 3; a convolution of 1 x 1 beside them where the shape changes."""
    body = nn.Sequential(
        nn.Conv2d(channels, out, 3, stride=stride, padding=1),
        nn.ReLU(),
        nn.Conv2d(out, out, 3, padding=1),
    )
    if stride == 1 and channels == out:
        return Residual(body, nn.Identity())
    return Residual(body, nn.Conv2d(channels, out, 1, stride=stride))
